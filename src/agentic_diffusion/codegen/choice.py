"""Which language a program is written in: asked for, told by the tests' files, named in the prompt, or the default.

A prompt names a language where it says "in Go", "with TypeScript" or "a Java method". A language of two letters is
known by its capital alone, since "go" is a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentic_diffusion.domains.code.languages.language import Language

_NOUNS = r"(?:function|method|program|code|class|script|module|snippet|solution)s?"
_SHORT = 2
"""Names of so few letters are known by the spelling of the title alone."""


def choose_language(asked: str | None, tests: Sequence[Path], prompt: str, *, default: str) -> Language:
    """The language of a request; UsageError for an unknown one, and for tests in another language than asked for.

    `asked` is a name or what models write after a code fence ("javascript", "js").
    """
    told = _of_files(tests)
    if asked is not None:
        language = find(asked)
        for path, other in told:
            if other.name != language.name:
                raise UsageError(
                    f"The tests in {path} are {other.title}, and the program shall be {language.title}.",
                    hint=f"leave --lang out, or give tests whose files end in {' or '.join(language.endings)}.",
                )
        return language
    if told:
        return told[0][1]
    named = named_in(prompt)
    return named if named is not None else find(default)


def find(name: str) -> Language:
    """The installed language of this name, or the one that models call so; UsageError for neither."""
    installed = plugins.discover("languages")
    if name in installed:
        return languages.get(name)
    for language in map(languages.get, installed):
        if name.lower() in (language.name, *language.fences):
            return language
    raise UsageError(
        f"There is no language {name!r}; installed are: {', '.join(installed)}.",
        hint="use one of these, or install a package that offers it for agentic_diffusion.languages.",
    )


def named_in(prompt: str) -> Language | None:
    """The one language that a prompt names; None when it names none, or several."""
    installed = [languages.get(name) for name in plugins.discover("languages")]
    found = {language.name: language for language in installed if speaks_of(prompt, language)}
    return next(iter(found.values())) if len(found) == 1 else None


def speaks_of(prompt: str, language: Language) -> bool:
    """Whether a prompt asks for a program in this language."""
    written = {language.title, *language.fences}
    names = {name for name in (*written, language.name) if len(name) > _SHORT} | {language.title}
    names |= {name.upper() for name in written if len(name) <= _SHORT and name.upper() != language.title.upper()}
    one = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return bool(
        re.search(rf"\b(?:[Ii]n|[Uu]sing|[Ww]ith)\s+(?:{one})(?!\w)|\b(?:{one})\s+(?:\w+\s+)?{_NOUNS}\b", prompt)
    )


def _of_files(tests: Sequence[Path]) -> list[tuple[Path, Language]]:
    """Each test file with the language that its ending tells."""
    told = [(path, languages.for_file(path)) for path in tests]
    for path, language in told:
        if language.name != told[0][1].name:
            raise UsageError(
                f"The tests in {told[0][0]} are {told[0][1].title}, and those in {path} are {language.title}.",
                hint="give tests of one language.",
            )
    return told
