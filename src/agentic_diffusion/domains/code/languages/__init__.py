"""Programming languages by name and by file, found through the entry-point group `agentic_diffusion.languages`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agentic_diffusion.domains.code.languages.language import Language, ParseProblem
from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import UsageError

__all__ = ["Language", "ParseProblem", "for_file", "get"]


def get(name: str) -> Language:
    """The language called `name`; UsageError when none of that name is installed."""
    return cast("Language", plugins.load("languages", name))


def for_file(path: Path) -> Language:
    """The language whose files end as `path` does; UsageError when none does."""
    known: list[str] = []
    for name in plugins.discover("languages"):
        language = get(name)
        if path.suffix in language.endings:
            return language
        known += language.endings
    raise UsageError(
        f"The file {path} ends in {path.suffix or 'no ending'}, and the languages installed end in {', '.join(known)}.",
        hint="rename the file, or install a language for it",
    )
