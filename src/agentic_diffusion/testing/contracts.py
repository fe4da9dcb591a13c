"""What every language must do: checks for authors of plug-ins, which the languages of this package pass, too.

    from agentic_diffusion.testing.contracts import LANGUAGE_CHECKS, LanguageSample

    @pytest.mark.parametrize("check", LANGUAGE_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MY_LANGUAGE, SAMPLE, sandbox.choose())

A check takes the language, a sample of programs and tests in it, and a sandbox; it raises AssertionError with a
sentence that says what is wrong. Lines count from 1.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.languages.language import Language
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Sandbox
from agentic_diffusion.testing import execution
from agentic_diffusion.testing.suite import Suite, inline_suite


@dataclass(frozen=True, kw_only=True)
class LanguageSample:
    """Programs and tests in one language, all about one function."""

    function: str
    """Its name, as the tests call it."""
    right: str
    """A program with one function, written as people write it; ends in one newline."""
    wrong: str
    """The same function, which parses and gives another result for every test."""
    failing: str
    """The same function, which parses and fails when it is called: by an exception, a panic."""
    failing_line: int
    """The line of `failing` where that happens."""
    broken: str
    """A program that does not parse."""
    broken_lines: range
    """The lines of `broken` of which one may be blamed."""
    tests: tuple[str, ...]
    """At least two tests as statements; `right` passes them."""
    no_test: str
    """The text of a test file that parses and tests nothing."""


Check = Callable[[Language, LanguageSample, Sandbox], None]


def has_names(language: Language, _sample: LanguageSample, _sandbox: Sandbox) -> None:
    """Name, title, endings and fences are there and lead back to the language."""
    _demand(language.name == language.name.lower().strip() != "", "its name is a word in lower case")
    _demand(language.title.lower() == language.name, "its title is its name as people write it")
    _demand(languages.get(language.name).name == language.name, "it is installed under its own name")
    _demand(bool(language.endings), "it has an ending of files")
    _demand(all(re.fullmatch(r"\.\w+", ending) for ending in language.endings), "endings are a dot and a word")
    _demand(bool(language.fences), "models need a name after the back-ticks")
    _demand(language.candidate_file.endswith(language.endings), "the file of a candidate ends as its programs do")


def tells_programs_from_text(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """What is right, wrong or failing parses; what is broken does not, and a line of it is blamed."""
    for program in (sample.right, sample.wrong, sample.failing):
        _demand(language.parse_error(program) is None, f"this parses:\n{program}")
    problem = language.parse_error(sample.broken)
    _demand(problem is not None, f"this does not parse:\n{sample.broken}")
    assert problem is not None
    _demand(problem.line in sample.broken_lines, f"line {problem.line} is not to blame in\n{sample.broken}")
    _demand(problem.column >= 1, "columns count from 1")
    _demand("\n" not in problem.message and bool(problem.message.strip()), "the problem is told in one line")
    windows = sample.right.replace("\n", "\r\n")
    _demand(language.parse_error(windows) is None, "lines may end as Windows ends them")


def finds_the_program_in_an_answer(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """`extract` takes the program out of fences and prose, and leaves alone what is bare."""
    right, fence = sample.right, language.fences[0]
    _demand(language.extract("") == "", "an empty answer has no program")
    _demand(language.extract(right) == right, f"a bare program stays as it is, and became\n{language.extract(right)}")
    _demand(language.extract(f"\n{right}\n\n") == right, "blank lines around it go")
    for label in (fence, ""):
        for end in ("```\n\nIt doubles its argument.\n", "```", ""):
            found = language.extract(f"Here is the function:\n\n```{label}\n{right}{end}")
            _demand(found == right, f"a fenced program is found whole; found was\n{found}")
    told = language.extract(sample.broken)
    _demand(language.parse_error(told) is not None, "a broken program is not repaired")
    _demand(language.extract(language.extract(right)) == language.extract(right), "twice is the same as once")


def adds_imports_once(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """`with_imports` keeps programs valid, leaves broken ones alone, and has nothing to add the second time."""
    once = language.with_imports(sample.right)
    _demand(language.parse_error(once) is None, f"with imports it still parses:\n{once}")
    _demand(language.with_imports(once) == once, "what has its imports is left alone")
    _demand(language.with_imports(sample.broken) == sample.broken, "what does not parse is left alone")


def opens_a_function(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """A signature is found in a program and in words, and an opening holds the name that the tests call."""
    written = language.signature(sample.right)
    _demand(written is not None and sample.function in written, f"{written!r} is no head of {sample.function}")
    _demand(language.signature("Add numbers.") is None, "where no function is named there is no signature")
    opening = language.opening(sample.function)
    _demand(bool(opening), "a program begins somehow")
    _demand(language.parse_error(opening) is not None, f"{opening!r} is a beginning and no program")


def reads_tests(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """Cases, names and an example come out of tests; tests that cannot be are refused."""
    suite = inline_suite(sample.tests, language=language.name)
    _demand(len(suite.cases) == len(sample.tests), f"{len(suite.cases)} cases of {len(sample.tests)} statements")
    lines = [case.line for case in suite.cases]
    _demand(lines == sorted(set(lines)) and lines[0] >= 1, f"cases begin on lines of their own, not {lines}")
    for source in (sample.no_test, "", sample.broken):
        try:
            inline_suite([source], language=language.name)
        except UsageError as error:
            _demand("\n" not in error.message and bool(error.hint), "a refusal is a sentence with a hint")
        else:
            _demand(holds=False, what=f"these are no tests:\n{source}")
    if language.harness is not None:
        names = language.harness.tested_names(suite.source)
        _demand(names == {sample.function}, f"the tests call {sample.function} alone, not {sorted(names)}")
        example = language.harness.example(suite.source)
        _demand(example is not None and sample.function in example, f"{example!r} shows nothing of the function")


def plants_a_false_case(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """A planted file has the cases of the original and one more."""
    if language.harness is None:
        return
    suite = inline_suite(sample.tests, language=language.name)
    for seed in range(5):
        planted = language.harness.planted(suite.source, random.Random(seed))  # noqa: S311  (a choice, no secret)
        cases = language.harness.cases(planted.source, "planted")
        _demand(len(cases) == len(suite.cases) + 1, "there is one case more")
        _demand(0 <= planted.case < len(cases), "the planted case is one of them")


def joins_tests(language: Language, sample: LanguageSample, _sandbox: Sandbox) -> None:
    """Two files of tests become one with the cases of both."""
    suites = [inline_suite([test], language=language.name) for test in sample.tests[:2]]
    joined = execution.combine(suites)
    _demand(len(joined.cases) == 2, f"{len(joined.cases)} cases of two files")


def judges_programs(language: Language, sample: LanguageSample, sandbox: Sandbox) -> None:
    """The right program passes, and again beside a planted false case; no other one does, and its fault is told."""
    suite = inline_suite(sample.tests, language=language.name)
    total = len(suite.cases)
    programs = [sample.right, sample.wrong, sample.failing, sample.broken, sample.right]
    right, wrong, failing, broken, again = execution.judge(suite, programs, sandbox)
    for verdict in (right, again):
        _demand(verdict.ok and verdict.passed == total, f"the right program passes, but: {verdict.message}")
    _demand(not wrong.ok and wrong.passed == 0, "the wrong program passes nothing")
    _demand(bool(wrong.message), "a failure is told")
    _demand(not failing.ok and failing.passed == 0, "the failing program passes nothing")
    line = failing.failure_line
    _demand(line == sample.failing_line, f"it fails on line {sample.failing_line}, and line {line} is told")
    _demand(not broken.ok and broken.failure_line in sample.broken_lines, "the broken line is told")
    confirmed = execution.confirm(suite, sample.right, sandbox)
    _demand(confirmed.ok, f"the right program passes alone beside a false case, but: {confirmed.message}")
    _demand(not execution.confirm(suite, sample.wrong, sandbox).ok, "the wrong program is not confirmed")


def lets_planted_cases_fail(language: Language, sample: LanguageSample, sandbox: Sandbox) -> None:
    """The planted case fails for the right program, and it alone."""
    if language.harness is None:
        return
    suite = inline_suite(sample.tests, language=language.name)
    planted = language.harness.planted(suite.source, random.Random(0))  # noqa: S311  (a choice, no secret)
    both: Suite = execution.make_suite(planted.source, origin="planted", language=language.name)
    [verdict] = execution.judge(both, [sample.right], sandbox)
    failed = [place for place, outcome in enumerate(verdict.outcomes) if outcome.status != "passed"]
    _demand(failed == [planted.case], f"case {planted.case} is false, and {failed} failed")


def fails_for_stubs(language: Language, sample: LanguageSample, sandbox: Sandbox) -> None:
    """Tests of a result pass for no function that does nothing."""
    suite = inline_suite(sample.tests, language=language.name)
    _demand(not execution.suite_is_vacuous(suite, sandbox), "tests of results do not pass for stubs")
    if language.harness is None:
        return
    for stub in language.harness.stubs(suite.source):
        _demand(language.parse_error(stub) is None, f"this stub parses:\n{stub}")


LANGUAGE_CHECKS: tuple[Check, ...] = (
    has_names,
    tells_programs_from_text,
    finds_the_program_in_an_answer,
    adds_imports_once,
    opens_a_function,
    reads_tests,
    plants_a_false_case,
    joins_tests,
    judges_programs,
    lets_planted_cases_fail,
    fails_for_stubs,
)
"""All checks of a language; those from `judges_programs` on need its toolchain."""


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"the contract of a language is broken: {what}")
