"""The contract of languages, held by every language of this package."""

import os
from dataclasses import replace

import pytest
from language_samples import SAMPLES

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.languages.python import Python
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import contracts
from agentic_diffusion.testing.contracts import LANGUAGE_CHECKS, judges_programs

OURS = [
    name
    for name, point in plugins.discover("languages").items()
    if point.dist is not None and point.dist.name == "agentic-diffusion"
]
RUNNING = LANGUAGE_CHECKS[LANGUAGE_CHECKS.index(judges_programs) :]
"""The checks that run programs."""


@pytest.fixture(scope="module")
def sandbox():
    return choose()


def test_every_language_of_this_package_has_a_sample():
    assert set(OURS) == SAMPLES.keys() & set(OURS)
    assert "python" in OURS


@pytest.mark.parametrize("check", LANGUAGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", OURS)
def test_language_keeps_the_contract(name, check, sandbox):
    language = languages.get(name)
    if check in RUNNING:
        missing = [tool for tool in language.tools if toolchains.find(tool) is None]
        if missing and os.environ.get("CI") != "true":
            pytest.skip(f"not here: {', '.join(missing)}")
    check(language, SAMPLES[name], sandbox)


class AcceptsAll(Python):
    """A language for which everything parses."""

    def parse_error(self, source):
        return None


class FindsNothing(Python):
    """A language that takes an answer for the program."""

    def extract(self, text):
        return text


class ImportsAgain(Python):
    """A language that adds an import every time."""

    def with_imports(self, source):
        return f"import math\n{source}"


class Nameless(Python):
    """A language without a head of functions."""

    def signature(self, text):
        return None


class Shouts(Python):
    """A language whose title is another word."""

    title = "Snake"


@pytest.mark.parametrize(
    ("language", "check"),
    [
        (AcceptsAll(), contracts.tells_programs_from_text),
        (FindsNothing(), contracts.finds_the_program_in_an_answer),
        (ImportsAgain(), contracts.adds_imports_once),
        (Nameless(), contracts.opens_a_function),
        (Shouts(), contracts.has_names),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_language_that_breaks_the_contract_is_caught(language, check, sandbox):
    with pytest.raises(AssertionError, match="the contract of a language is broken: "):
        check(language, SAMPLES["python"], sandbox)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"right": SAMPLES["python"].wrong}, contracts.judges_programs),
        ({"wrong": SAMPLES["python"].right}, contracts.judges_programs),
        ({"failing_line": 1}, contracts.judges_programs),
        ({"tests": ("assert True", "assert twice")}, contracts.fails_for_stubs),
        ({"no_test": "assert twice(1) == 2"}, contracts.reads_tests),
    ],
)
def test_what_a_check_demands_is_looked_at(changes, check, sandbox):
    with pytest.raises(AssertionError, match="the contract of a language is broken: "):
        check(languages.get("python"), replace(SAMPLES["python"], **changes), sandbox)
