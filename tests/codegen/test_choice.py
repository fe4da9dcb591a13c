"""The language of a request: asked for, told by the tests' files, named in the prompt, or the default."""

from pathlib import Path

import pytest

from agentic_diffusion.codegen.choice import choose_language, find, named_in, speaks_of
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import UsageError

PYTHON = languages.get("python")
INSTALLED = plugins.discover("languages")
OTHERS = [name for name in INSTALLED if name != "python"]


class Spoken:
    """The names of a language, which are all that a prompt is searched for."""

    def __init__(self, title: str, *fences: str) -> None:
        self.name, self.title, self.fences = title.lower(), title, fences


GO, JAVA = Spoken("Go", "go", "golang"), Spoken("Java", "java")
JAVASCRIPT = Spoken("JavaScript", "javascript", "js")


@pytest.mark.parametrize(
    ("prompt", "language", "spoken"),
    [
        ("Write it in Go", GO, True),
        ("Write it in Go.", GO, True),
        ("a Go program that counts", GO, True),
        ("a golang function", GO, True),
        ("let go code run", GO, False),
        ("put it in go", GO, False),
        ("Write it in JavaScript", JAVA, False),
        ("a JavaScript function", JAVA, False),
        ("Write it in java", JAVA, True),
        ("Java methods", JAVA, True),
        ("drink Java", JAVA, False),
        ("In JS, write f", JAVASCRIPT, True),
        ("using javascript", JAVASCRIPT, True),
        ("Write a function f(x)", JAVASCRIPT, False),
    ],
)
def test_a_prompt_names_a_language_in_the_ways_of_speech(prompt, language, spoken):
    assert speaks_of(prompt, language) is spoken


def test_every_installed_language_is_named_by_its_title_and_found_by_its_fences():
    for name in INSTALLED:
        language = languages.get(name)
        assert named_in(f"Write a function in {language.title}") is language
        assert named_in(f"Write a {language.title} function f(x) that adds") is language
        assert find(name) is language
        assert all(find(fence) for fence in language.fences)


def test_a_prompt_that_names_no_language_or_several_decides_nothing():
    assert named_in("Write a function") is None
    if OTHERS:
        other = languages.get(OTHERS[0])
        assert named_in(f"Turn Python code into a {other.title} function") is None


def test_asked_before_told_before_named_before_the_default():
    assert choose_language("python", [], "in Go", default="none") is PYTHON
    assert choose_language("py", [Path("a.py")], "x", default="none") is PYTHON
    assert choose_language(None, [Path("a_test.py")], "a Java method", default="none") is PYTHON
    assert choose_language(None, [], "a Python function", default="none") is PYTHON
    assert choose_language(None, [], "a function", default="python") is PYTHON


def test_an_unknown_language_is_named_with_those_that_are_installed():
    with pytest.raises(UsageError) as caught:
        choose_language("cobol", [], "x", default="python")
    assert caught.value.message == f"There is no language 'cobol'; installed are: {', '.join(INSTALLED)}."
    assert "agentic_diffusion.languages" in caught.value.hint


@pytest.mark.parametrize("name", OTHERS)
def test_tests_in_another_language_than_the_program_are_refused(name):
    other = languages.get(name)
    with pytest.raises(UsageError) as caught:
        choose_language(name, [Path("a_test.py")], "x", default="python")
    assert caught.value.message == f"The tests in a_test.py are Python, and the program shall be {other.title}."
    assert other.endings[0] in caught.value.hint
    both = [Path("a_test.py"), Path(f"a_test{other.endings[0]}")]
    with pytest.raises(UsageError, match=f"The tests in a_test.py are Python, and those in .* are {other.title}"):
        choose_language(None, both, "x", default="python")
