"""Generated tasks: the same for a seed, distinct, told apart from constants, and right in Python as they are written.

The five languages are run against the same values in the sandbox by `tests/adaptation/test_generated_tasks.py`.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.task_algebra import (
    ELEMENTS,
    INTEGER_LIMIT,
    Operation,
    Spec,
    draw_input,
    draw_spec,
    empty_input,
    evaluate,
)
from agentic_diffusion.domains.code.task_generator import GeneratorSettings, examples_of, generate_tasks
from agentic_diffusion.domains.code.task_rendering import literal, program, signature, solution
from agentic_diffusion.domains.code.task_tables import TABLES
from agentic_diffusion.domains.code.task_wording import describe, in_language
from agentic_diffusion.foundation.errors import ConfigError, UsageError

SEEDS = st.integers(0, 10_000)
DIFFICULTIES = st.integers(0, 4)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, difficulty=DIFFICULTIES, form=st.sampled_from(["loop", "idiom"]))
def test_python_gives_what_the_specification_means(seed, difficulty, form):
    draw = random.Random(seed)
    spec = draw_spec(draw, difficulty=difficulty)
    scope: dict = {}
    exec(solution(spec, "f", "python", form), scope)
    for given_input in (draw_input(draw, spec.source), empty_input(spec.source)):
        try:
            wanted = evaluate(spec, given_input)
        except UsageError:
            continue
        before = repr(given_input)
        got = scope["f"](given_input)
        assert got == wanted
        assert type(got) is type(wanted)
        assert repr(given_input) == before, "the input was changed"


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, difficulty=DIFFICULTIES)
def test_every_language_is_written_so_that_it_parses(seed, difficulty):
    draw = random.Random(seed)
    spec = draw_spec(draw, difficulty=difficulty)
    for name in ("python", "go", "java"):
        code = program([(spec, "f", "loop"), (spec, "g", "idiom")], name)
        problem = languages.get(name).parse_error(code)
        assert problem is None, f"{problem}\n{code}"
        assert signature(spec, "f", name) in code


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, difficulty=DIFFICULTIES)
def test_a_specification_has_the_parts_asked_for_and_words_for_all_of_them(seed, difficulty):
    draw = random.Random(seed)
    spec = draw_spec(draw, difficulty=difficulty)
    assert spec.parts <= difficulty
    text = describe(spec, "f_name", draw)
    assert "{" not in text
    assert text.rstrip().endswith(".")
    for test in spec.tests:
        assert all(str(constant) in text or isinstance(constant, int) for constant in test.constants)


def test_the_same_seed_gives_the_same_tasks_and_another_seed_others():
    first, again, other = (
        [task.example("go") for task in generate_tasks(GeneratorSettings(count=40, seed=seed))] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_thousands_of_tasks_are_distinct_and_no_constant_passes():
    tasks = list(generate_tasks(GeneratorSettings(count=3000, seed=5)))
    assert len({task.spec for task in tasks}) == len(tasks) == 3000
    assert {task.spec.source for task in tasks} == set(ELEMENTS)
    for task in tasks:
        values = [value for _, value in task.cases]
        assert any(value != values[0] for value in values), task
        assert task.cases[-1][0] == empty_input(task.spec.source)


def test_easy_tasks_run_out_and_hard_ones_do_not():
    with pytest.raises(UsageError, match=r"finds no more than \d+ tasks of difficulty 0"):
        list(generate_tasks(GeneratorSettings(count=2000, hardest=0)))


def test_examples_carry_everything_that_the_corpus_needs():
    tasks = list(generate_tasks(GeneratorSettings(count=3, seed=2)))
    examples = examples_of(tasks, ("python", "java"))
    assert [example.id for example in examples] == [f"generated:{n}" for n in (0, 0, 1, 1, 2, 2)]
    for example in examples:
        assert example.licence == "Apache-2.0"
        assert example.description
        assert example.signature.strip() in example.solution
        assert len(example.tests.splitlines()) == 4


def test_numbers_beyond_32_bits_are_no_test_values():
    spec = Spec(source="numbers", fold=Operation("product"))
    with pytest.raises(UsageError, match="leaves 32 bits"):
        evaluate(spec, [INTEGER_LIMIT, 2])
    assert evaluate(spec, [INTEGER_LIMIT]) == INTEGER_LIMIT


@pytest.mark.parametrize(
    ("value", "kind", "language", "text"),
    [
        ([1, -2], "ints", "java", "List.of(1, -2)"),
        ([], "texts", "java", "List.<String>of()"),
        (["a"], "texts", "go", '[]string{"a"}'),
        (True, "bool", "python", "True"),
        (False, "bool", "typescript", "false"),
        ('"', "text", "javascript", '"\\""'),
    ],
)
def test_values_are_written_as_the_language_writes_them(value, kind, language, text):
    assert literal(value, language, kind) == text


def test_names_are_written_as_the_language_writes_them():
    assert in_language("sum_even_numbers", "python") == "sum_even_numbers"
    assert {in_language("sum_even_numbers", name) for name in TABLES if name != "python"} == {"sumEvenNumbers"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"count": 0}, "out of range"),
        ({"count": 1, "hardest": 5}, "out of range"),
        ({"count": 1, "tests": 1}, "out of range"),
        ({"count": 1, "languages": ("cobol",)}, "does not write cobol"),
        ({"count": 1, "languages": ()}, "does not write nothing"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        GeneratorSettings(**wrong)
    with pytest.raises(UsageError, match="A difficulty of 7 is out of range"):
        draw_spec(random.Random(0), difficulty=7)
    with pytest.raises(UsageError, match="There are no templates for 'cobol'"):
        solution(Spec(source="numbers"), "f", "cobol")
