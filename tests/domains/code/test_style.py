"""Style: habits are counted, told in a line, and compared by a distance with the laws of one."""

# ruff: noqa: E501  (a program a line)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import CLEAN, FAULTY, NAMES

from agentic_diffusion.domains.code.style import apart, distance, merged, profile, style_of
from agentic_diffusion.foundation.errors import UsageError

NEAT = {
    "python": 'def add_two(first_one: int, last_one: int) -> int:\n    """Sum."""\n    the_sum = first_one + last_one\n    return the_sum\n',
    "javascript": "/** Sum. */\nfunction addTwo(firstOne, lastOne) {\n  const theSum = firstOne + lastOne;\n  say('sum');\n  return theSum;\n}\n",
    "typescript": "/** Sum. */\nfunction addTwo(firstOne: number, lastOne: number): number {\n  const theSum = firstOne + lastOne;\n  say('sum');\n  return theSum;\n}\n",
    "java": "class A {\n    /** Sum. */\n    static int addTwo(int firstOne, int lastOne) {\n        int theSum = firstOne + lastOne;\n        return theSum;\n    }\n}\n",
    "go": "// Sum.\nfunc addTwo(firstOne int, lastOne int) int {\n\ttheSum := firstOne + lastOne\n\treturn theSum\n}\n",
}
SPOKEN = {
    "python": "Use 4 spaces, snake_case names, a doc comment and type hints.",
    "javascript": "Use 2 spaces, single quotes, semicolons, camelCase names and a doc comment.",
    "typescript": "Use 2 spaces, single quotes, semicolons, camelCase names, a doc comment and type hints.",
    "java": "Use 4 spaces, camelCase names and a doc comment.",
    "go": "Use tabs, camelCase names and a doc comment.",
}
programs = st.sampled_from([(name, source) for name in NAMES for source in (CLEAN[name], FAULTY[name], NEAT[name])])


@pytest.mark.parametrize("name", NAMES)
def test_habits_are_told_in_a_line(name):
    assert merged([style_of(NEAT[name], name)] * 3, name).sentence() == SPOKEN[name]
    assert style_of("", name).sentence() == ""


@given(programs, st.data())
@settings(max_examples=40, deadline=None)
def test_the_distance_is_0_for_the_same_habits_symmetric_and_at_most_1(program, data):
    name, source = program
    other = data.draw(st.sampled_from([CLEAN[name], FAULTY[name], NEAT[name]]))
    one, two = style_of(source, name), style_of(other, name)
    assert distance(one, source) == 0
    assert 0 <= apart(one, two) <= 1
    assert apart(one, two) == apart(two, one)
    assert apart(merged([one, one], name), one) == pytest.approx(0)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("python", "    ", "  "),
        ("python", ": int", ""),
        ("python", '    """Sum."""\n', ""),
        ("python", "the_sum", "theSum"),
        ("javascript", "'", '"'),
        ("javascript", ";\n", "\n"),
        ("javascript", "  ", "    "),
        ("typescript", ": number", ""),
        ("java", "theSum", "the_sum"),
        ("go", "\t", "    "),
    ],
)
def test_every_habit_that_is_broken_costs(name, before, after):
    wanted = style_of(NEAT[name], name)
    broken = NEAT[name].replace(before, after)
    assert broken != NEAT[name]
    assert distance(wanted, broken) > 0.05


def test_trailing_commas_and_forced_quotes():
    found = style_of("f(\n    1,\n)\ng(\n    1\n)\nx = \"it's\"\ny = 'a'\nz = f'b'\n", "python").counts
    assert found["trailing commas"] == {"yes": 1, "no": 1}
    assert found["quotes"] == {"single": 2}


def test_a_profile_is_that_of_all_files_of_the_language(tmp_path):
    (tmp_path / "a.py").write_text(NEAT["python"])
    (tmp_path / "b.py").write_text(NEAT["python"])
    (tmp_path / "c.txt").write_text("x")
    assert profile([tmp_path], "python") == merged([style_of(NEAT["python"], "python")] * 2, "python")


def test_what_has_no_style_is_refused(tmp_path):
    with pytest.raises(UsageError, match="There is no path to take a style from"):
        profile([], "python")
    with pytest.raises(UsageError, match="There is no Python program at "):
        profile([tmp_path], "python")
    with pytest.raises(UsageError, match="There is no file or folder "):
        profile([tmp_path / "none"], "python")
    with pytest.raises(UsageError, match="Programs in cobol cannot be measured"):
        profile([tmp_path], "cobol")
