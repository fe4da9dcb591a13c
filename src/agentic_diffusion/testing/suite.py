"""Suites: test files as data, read and checked before anything runs.

What a case is, the language's harness says (`languages/harness.py`); Python alone is read here. A suite in Python is a
file of plain top-level `assert` lines, of `def test_*()` functions, of `unittest.TestCase` classes, or a mixture. It
imports the program under test from `solution` or uses its names bare. Every test function, test method and top-level
asserting statement is a case; other top-level statements prepare for all that follows them.
What is wrong with a suite is said in one sentence (UsageError) before any candidate runs. Lines count from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing import python_suite

SIZE_LIMIT = 4_000_000
"""Bytes of a test file that is still read."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that can pass or fail."""

    name: str
    """Name of the test function or method, or the asserting statement itself, shortened."""
    line: int
    """Its first line in the suite."""
    source: str
    """Its text."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tests that candidates are judged by."""

    source: str
    """The whole text."""
    language: str
    """Name of its language."""
    cases: tuple[Case, ...]
    """In the order in which they run."""
    origin: str
    """Where it came from: a path, or "inline"."""


def load_suite(path: Path | str) -> Suite:
    """Read a test file; UsageError when it cannot be read, does not parse, or holds no test."""
    path = Path(path)
    try:
        data = path.read_bytes() if path.stat().st_size <= SIZE_LIMIT else None
    except OSError as error:
        raise UsageError(
            f"The tests cannot be read from {path}: {error.strerror}.", hint="give the path of a test file"
        ) from error
    if data is None:
        raise UsageError(
            f"The test file {path} is larger than {SIZE_LIMIT} bytes.", hint="give fewer tests, or split the file"
        )
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The test file {path} is not UTF-8 text (byte {error.start}).", hint="save it as UTF-8"
        ) from error
    return make_suite(source, origin=str(path), language=languages.for_file(path).name)


def inline_suite(statements: Sequence[str], *, language: str = "python") -> Suite:
    """A suite of statements given one by one, such as `assert f(1) == 2`; UsageError as in `load_suite`."""
    harness = languages.get(language).harness
    source = "\n".join(statements) + "\n" if harness is None else harness.inline(statements)
    return make_suite(source, origin="inline", language=language)


def make_suite(source: str, *, origin: str, language: str = "python") -> Suite:
    """A suite out of its text; UsageError when it does not parse, holds no test, or cannot be run here."""
    harness = languages.get(language).harness
    if harness is None and language != "python":
        raise UsageError(f"Tests in {language} cannot be run yet.", hint="give tests in python")
    if harness is None:
        return _python(source, origin, language)
    cases = tuple(Case(name=case.name, line=case.line, source=case.source) for case in harness.cases(source, origin))
    return Suite(source=source, language=language, cases=cases, origin=origin)


@python_suite.reading()
def _python(source: str, origin: str, language: str) -> Suite:
    if not source.strip():
        raise UsageError(f"The tests ({origin}) are empty.", hint='write a line such as "assert f(1) == 2"')
    problem = languages.get(language).parse_error(source)
    if problem is not None:
        raise UsageError(
            f"The tests ({origin}) do not parse: line {problem.line}: {problem.message}.",
            hint="mend that line; tests are never guessed",
        )
    tree = python_suite.parse(source)
    python_suite.check(tree, origin)
    cases = tuple(
        Case(name=unit.name, line=unit.line, source=unit.source)
        for unit in python_suite.units(tree)
        if unit.kind != "setup"
    )
    return Suite(source=source, language=language, cases=cases, origin=origin)


def combine(suites: Sequence[Suite]) -> Suite:
    """One suite of several in the same language; names that two of them define are kept apart."""
    if not suites:
        raise UsageError("There are no tests to combine.", hint="give a test file or an inline test")
    if len({suite.language for suite in suites}) > 1:
        raise UsageError("Tests of several languages cannot be combined.", hint="give tests of one language")
    if len(suites) == 1:
        return suites[0]
    harness = languages.get(suites[0].language).harness
    sources = [suite.source for suite in suites]
    origin = ", ".join(dict.fromkeys(suite.origin for suite in suites))
    source = _joined(sources) if harness is None else harness.join(sources)
    return make_suite(source, origin=origin, language=suites[0].language)


@python_suite.reading()
def _joined(sources: Sequence[str]) -> str:
    return python_suite.join(list(sources))
