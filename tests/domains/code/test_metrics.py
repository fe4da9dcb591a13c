"""Numbers about programs: the same small program measures alike in five languages."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import CLEAN, FAULTY, LINES, NAMES

from agentic_diffusion.domains.code import metrics
from agentic_diffusion.domains.code.findings import issues
from agentic_diffusion.domains.code.metrics import GRAM, WINDOW, comment_share, duplication, fingerprints, measure


@pytest.mark.parametrize("name", NAMES)
def test_the_same_function_has_the_same_complexity_in_every_language(name):
    found = measure(CLEAN[name], name)
    assert [function.name.split(".")[-1] for function in found.functions] == ["total"]
    assert found.complexity == 4, "a loop, a condition and an `and`"
    assert found.functions[0].parameters == 2
    assert found.functions[0].lines <= found.lines
    assert found.issues == ()
    assert found.documented == 1
    assert found.lexemes > 30


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_finds_its_fault_and_nothing_else(name):
    found = [issue for issue in issues(FAULTY[name], name) if not issue.message.startswith("e ")]
    assert [issue.rule for issue in found] == ["unused-variable", "empty-catch", "unreachable"]
    assert [issue.line for issue in found] == LINES[name]
    assert found[0].message == "spare is given a value and never read"
    assert measure(FAULTY[name], name).documented == 0


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("python", "def f():\n    global n\n    n = 1\n"),
        ("python", "def f():\n    n = 1\n    def g():\n        return n\n    return g\n"),
        ("python", "def f(x):\n    try:\n        x()\n    except ValueError:\n        pass  # it may be empty\n"),
        ("python", "def f(x):\n    _ = x\n    for _i in x:\n        continue\n"),
        ("javascript", "function f() {\n  return g();\n  function g() { return 1; }\n}\n"),
        ("javascript", "const f = (x) => {\n  let n = 0;\n  n += x;\n  return () => n;\n};\n"),
        ("javascript", "function f(x) {\n  try { x(); } catch (e) { /* fine */ }\n}\n"),
        (
            "javascript",
            "function f(x) {\n  switch (x) {\n    case 1:\n      return 2;\n    case 2:\n      return 3;\n  }\n}\n",
        ),
        ("java", "class A { int f(String... s) {\n  while (true) { break; }\n  return 1;\n} }\n"),
        ("go", "func f(x int) int {\n\tif x > 0 {\n\t\treturn 1\n\t}\n\treturn 2\n}\n"),
    ],
)
def test_rules_keep_silent_where_a_name_or_statement_is_used(name, source):
    assert issues(source, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_copied_program_is_found_though_its_names_are_others(name):
    copy = CLEAN[name].replace("found", "kept").replace("value", "item")
    both = duplication([(CLEAN[name], name), (copy, name)])
    assert both > 0.5
    assert duplication([(CLEAN[name], name)]) == 0
    assert duplication([]) == 0
    assert both == duplication([(copy, name), (CLEAN[name], name)])


@given(st.lists(st.sampled_from("abc"), max_size=80), st.lists(st.sampled_from("de"), max_size=20), st.data())
@settings(max_examples=50)
def test_winnowing_sees_every_copy_that_is_long_enough(copied, before, data):
    after = data.draw(st.lists(st.sampled_from("fg"), max_size=20))
    one, other = fingerprints(copied), fingerprints([*before, *copied, *after])
    shared = {value for _, value in one} & {value for _, value in other}
    if len(copied) >= GRAM + WINDOW - 1:
        assert shared
    places = [place for place, _ in other]
    assert all(later - earlier <= WINDOW for earlier, later in itertools.pairwise(places))


@pytest.mark.parametrize("name", NAMES)
def test_share_of_comments(name):
    assert comment_share("", name) == 0
    assert (0 if name == "python" else 0.02) <= comment_share(CLEAN[name], name) < 0.2


def test_a_program_without_functions_has_no_documentation_to_speak_of():
    found = measure("x = 1\n", "python")
    assert (found.documented, found.complexity, found.functions) == (None, 0, ())
    assert metrics.measure("", "go").lexemes == 0
