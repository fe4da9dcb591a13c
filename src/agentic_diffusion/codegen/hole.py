"""A hole in a program, and what is put into it.

    program = prefix + filling + suffix        lines end in "\\n"; `document` keeps files with other line ends

A hole takes whole lines where nothing but white space stands before it on its line and nothing behind it; else it lies
inside one line. Where it takes whole lines the text around it says who writes the last line break: a suffix that begins
with one (or is empty behind an indentation) keeps it, otherwise the filling ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentic_diffusion.foundation.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A place in a program that is to be filled."""

    prefix: str
    """The program before the hole."""
    suffix: str
    """The program behind the hole."""
    language: str
    """Name of the language."""
    note: str = ""
    """Evidence in words for the prompt: the failing test, its message, the old text; may be empty."""

    def __post_init__(self) -> None:
        """Check that both sides are text."""
        for side in (self.prefix, self.suffix):
            if "\0" in side or any("\ud800" <= character <= "\udfff" for character in side):
                raise UsageError("The program around the hole is no text.", hint="give a file of UTF-8 text.")

    @property
    def rest(self) -> str:
        """What stands behind the hole on its line."""
        return self.suffix.split("\n", 1)[0]

    @property
    def indentation(self) -> str:
        """What stands before the hole on its line."""
        return self.prefix.rsplit("\n", 1)[-1]

    @property
    def whole_lines(self) -> bool:
        """Whether the hole takes whole lines."""
        if self.indentation.strip():
            return False
        return not self.rest.strip() or not self.indentation

    @property
    def ends_line(self) -> bool:
        """Whether a filling ends with a line break of its own."""
        return self.whole_lines and not self.indentation and not self.suffix.startswith("\n")

    def filled(self, text: str) -> str:
        """The program with `text` in the hole."""
        return self.prefix + text + self.suffix


@dataclass(frozen=True)
class Filling:
    """A text for a hole."""

    text: str
    """What stands between prefix and suffix."""
    confidence: float
    """Mean probability of its tokens when they were committed, in [0, 1]."""
    score: float
    """What fillings are ranked by, in nats a token; higher is better."""
    parses: bool
    """Whether the program with it parses."""
    tokens: int
    """Tokens that the model wrote for it."""
