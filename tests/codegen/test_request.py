"""The request: its checks, and the form in which it is put to the model."""

from dataclasses import replace

import pytest

from agentic_diffusion.codegen.request import (
    GenerationRequest,
    build_prompt,
    first_assertion,
    function_name,
    spoken_prompt,
)
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.style import merged, style_of
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing.suite import inline_suite, make_suite
from tiny_coder import stock_tokenizer

PYTHON = languages.get("python")
TOKENIZER = CodeTokenizer(stock_tokenizer())


def _request(prompt: str, *tests: str) -> GenerationRequest:
    return GenerationRequest(prompt=prompt, suite=inline_suite(tests) if tests else None)


@pytest.mark.parametrize(
    ("prompt", "tests", "name"),
    [
        ("Write a function area(r)", [], "area"),
        ("Add two numbers", [], None),
        ("Write async def fetch(url): that waits", [], "fetch"),
        ("Add two numbers", ["assert add(1, 2) == 3"], "add"),
        ("Write a function area(r)", ["assert circle(1) > 3"], "circle"),
        ("Write a function area(r)", ["assert area(1) > 3", "assert helper(1)"], "area"),
        ("Two functions", ["assert area(1) > 3", "assert helper(1)"], None),
        ("Sum", ["import math\nassert total([1]) == math.floor(1.5)"], "total"),
    ],
)
def test_the_name_comes_from_the_tests_or_from_the_prompt(prompt, tests, name):
    request = _request(prompt, *tests)
    assert function_name(request, PYTHON) == name
    opening = build_prompt(request, PYTHON, TOKENIZER).opening
    assert opening == (f"def {name}(" if name else "")


def test_the_prompt_holds_the_request_and_the_first_assertion():
    text = TOKENIZER.decode(
        build_prompt(_request("  Add  ", "assert f(1) == 2", "assert f(2) == 3"), PYTHON, TOKENIZER).tokens
    )
    assert text == "user\nAdd\nYour code should pass this test:\nassert f(1) == 2\nassistant\n```python\ndef f("
    alone = TOKENIZER.decode(build_prompt(_request("Add"), PYTHON, TOKENIZER).tokens)
    assert alone == "user\nAdd\nassistant\n```python\n"


def test_only_an_assertion_that_stands_whole_on_one_line_is_an_example():
    suite = make_suite("assert f(\n    1) == 2\n\ndef test_a():\n    assert f(3) == 4\n", origin="x")
    assert first_assertion(suite, PYTHON) == "assert f(3) == 4"
    long = make_suite(f"assert f({'1' * 300}) == 2\n", origin="x")
    assert first_assertion(long, PYTHON) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": ""}, "The prompt is empty."),
        ({"prompt": " \n\t"}, "The prompt is empty."),
        ({"prompt": "a\0b"}, "The prompt holds a NUL character, so it is no text."),
        ({"prompt": "a\udcffb"}, "The prompt is not UTF-8 text."),
        ({"batch": 0}, "At least one candidate is needed."),
        ({"candidates": 0}, "At least one candidate is needed."),
        ({"seconds": 0.0}, "A budget of 0.0 seconds leaves no time."),
        ({"seconds": float("nan")}, "A budget of nan seconds leaves no time."),
    ],
)
def test_requests_that_cannot_be_served_are_refused(changes, message):
    with pytest.raises(UsageError) as caught:
        GenerationRequest(**({"prompt": "x"} | changes))
    assert caught.value.message == message
    assert caught.value.hint


def test_a_name_imported_from_the_solution_opens_the_answer() -> None:
    suite = make_suite("from solution import twice\n\n\ndef test_it():\n    assert twice(2) == 4\n", origin="inline")
    assert function_name(GenerationRequest(prompt="Write a function.", suite=suite), PYTHON) == "twice"


def test_an_attribute_of_the_solution_opens_the_answer() -> None:
    suite = make_suite("import solution\n\nassert solution.twice(2) == 4\n", origin="inline")
    assert function_name(GenerationRequest(prompt="Write a function.", suite=suite), PYTHON) == "twice"


def test_the_habits_of_a_style_are_asked_for() -> None:
    program = 'def add_two(a_b, c_d):\n  say("a")\n  return e_f\n'
    habits = merged([style_of(program, "python")] * 3, "python")
    request = replace(_request("Add", "assert f(1) == 2"), style=habits)
    text = TOKENIZER.decode(build_prompt(request, PYTHON, TOKENIZER).tokens)
    told = "Use 2 spaces, double quotes, snake_case names and no type hints."
    assert text.startswith(f"user\nAdd\n{told}\nYour code should pass this test:\n")
    plain = replace(request, style=style_of("", "python"))
    assert build_prompt(plain, PYTHON, TOKENIZER) == build_prompt(replace(request, style=None), PYTHON, TOKENIZER)


class Spoken:
    """What a prompt needs to know of a language."""

    name, title, fences = "go", "Go", ("go", "golang")


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("Write a function f(x)", "Write a Go function f(x)"),
        ("Write an even function", "Write a Go even function"),
        ("The program adds", "The Go program adds"),
        ("Sum them.", "Sum them.\nWrite it in Go."),
        ("Write a Go function", "Write a Go function"),
        ("Write f in Go.", "Write f in Go."),
    ],
)
def test_the_language_is_told_once(prompt, told):
    assert spoken_prompt(prompt, Spoken()) == told
    assert spoken_prompt(told, Spoken()) == told
    assert spoken_prompt(prompt, PYTHON) == prompt
