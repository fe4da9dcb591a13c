"""Python: parse errors with their place, and programs taken out of answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.languages.python import PYTHON, SIZE_LIMIT
from agentic_diffusion.foundation.errors import UsageError

CODE = "import math\n\ndef f(x):\n    return math.sqrt(x)\n"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("def f(x)\n    return x\n", 1, "expected ':'"),
        ("def f(x):\nreturn x\n", 2, "expected an indented block"),
        ("x = 1\nreturn x\n", 2, "'return' outside function"),
        ("x = (1,\n", 1, "'(' was never closed"),
        ("x = '\0'", 1, "null bytes"),
        ("-" * 100_000 + "1", 1, ""),
        ("x" * (SIZE_LIMIT + 1), 1, "longer than"),
    ],
)
def test_parse_errors(source: str, line: int, words: str) -> None:
    problem = PYTHON.parse_error(source)
    assert problem is not None
    assert problem.line == line
    assert problem.column >= 1
    assert words in problem.message


def test_no_parse_error() -> None:
    assert PYTHON.parse_error(CODE) is None
    assert PYTHON.parse_error("x = '\\d'\n") is None
    assert PYTHON.parse_error("") is None


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        f"```python\n{CODE}```",
        f"Here is it:\n\n```python\n{CODE}```\nIt's simple.",
        f"```\n{CODE}```",
        f"```py\n{CODE}",
        f"Sure!\n{CODE}\nThis function's result is a root. It doesn't fail.",
        f"{CODE}\nprint(f(4))\n",
        f"{CODE}\nif __name__ == '__main__':\n    print(f(4))\n",
        f"{CODE}\nassert f(4) == 2\n",
        f"{CODE}\nresult = f(4)\nprint(result)\n",
        f"```text\nnot this\n```\n```python\n{CODE}```",
        f"```python\ndef broken(:\n```\nBetter:\n```python\n{CODE}```",
        f"1. A list:\n   ```python\n{''.join('   ' + line for line in CODE.splitlines(keepends=True))}   ```\n",
    ],
)
def test_extraction(answer: str) -> None:
    extracted = PYTHON.extract(answer)
    assert [line for line in extracted.splitlines() if line] == [line for line in CODE.splitlines() if line]


def test_extraction_keeps_what_the_function_reads() -> None:
    source = "def f(x):\n    return TABLE[x]\n\nTABLE = {1: 2}\nUNUSED = 3\n"
    assert PYTHON.extract(source) == "def f(x):\n    return TABLE[x]\n\nTABLE = {1: 2}\n"


def test_broken_code_stays_broken() -> None:
    broken = "def f(x):\n    y = x +\n    return y\n"
    assert PYTHON.extract(broken) == broken
    assert PYTHON.extract(f"```python\n{broken}```") == broken


def test_answers_without_code() -> None:
    assert PYTHON.extract("") == ""
    assert PYTHON.extract("I cannot do that.") == "I cannot do that.\n"


@given(st.text(), st.text())
def test_extraction_never_fails_and_ends_in_one_newline(before: str, after: str) -> None:
    for text in (before, f"{before}\n```python\n{CODE}```\n{after}"):
        extracted = PYTHON.extract(text)
        assert extracted == "" or (extracted.endswith("\n") and not extracted.endswith("\n\n"))


@given(st.text(alphabet="abc(:=+'\n def", max_size=60))
def test_extraction_of_what_parses_parses(text: str) -> None:
    if PYTHON.parse_error(text) is None:
        assert PYTHON.parse_error(PYTHON.extract(text)) is None


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("Write a function even_square_sum(numbers) that returns", "def even_square_sum(numbers)"),
        ("a function called `add` that adds", None),
        ("def f(a,\n      b=2) -> int:\n    pass", "def f(a, b=2) -> int"),
        ("nothing here", None),
    ],
)
def test_signatures(text: str, signature: str | None) -> None:
    assert PYTHON.signature(text) == signature


def test_languages_by_name() -> None:
    assert languages.get("python") is PYTHON
    with pytest.raises(UsageError):
        languages.get("cobol")


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(x):\n    return math.sqrt(x)\n", ["import math"]),
        ("def f(x):\n    return Counter(x)\n", ["from collections import Counter"]),
        ("import math\n\ndef f(x):\n    return math.sqrt(x)\n", []),
        ("def f(math):\n    return math.sqrt(2)\n", []),
        ("def f(x):\n    return np.sum(x)\n", []),
        ("def f(x):\n    string = str(x)\n    return string.upper()\n", []),
        ("def f(x:\n    return math.pi\n", []),
    ],
)
def test_missing_imports_of_the_standard_library_are_added_and_nothing_else(source, lines):
    expected = "\n".join(lines) + "\n\n" + source if lines else source
    assert PYTHON.with_imports(source) == expected
