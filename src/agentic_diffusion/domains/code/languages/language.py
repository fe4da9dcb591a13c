"""What the rest of the package needs to know of a programming language: the protocol `Language` and its small records.

Lines count from 1, columns from 1, as compilers print them.
A candidate is the source text of one program file, named `candidate_file` where tests import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.languages.harness import Harness


@dataclass(frozen=True, kw_only=True)
class ParseProblem:
    """Why and where a source text does not parse."""

    line: int
    """Line of the problem, from 1; within the text, or one past its end."""
    column: int
    """Column of the problem, from 1; 1 when the parser does not say."""
    message: str
    """The parser's words, without the place."""


class Language(Protocol):
    """A programming language, found through the entry-point group `agentic_diffusion.languages`."""

    @property
    def name(self) -> str:
        """Its name in lower case: "python"."""

    @property
    def title(self) -> str:
        """Its name as people write it, in prompts and messages: "Python"."""

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of its files, with the dot."""

    @property
    def fences(self) -> tuple[str, ...]:
        """The names that models write after the three back-ticks of a code block."""

    @property
    def candidate_file(self) -> str:
        """The name of the file that a candidate becomes, as tests import it: "solution.py"."""

    @property
    def command(self) -> tuple[str, ...]:
        """The words that run a program file of this language in a sandbox; the file's name follows."""

    @property
    def tools(self) -> tuple[str, ...]:
        """The toolchains that running it needs, by their names in `installer.toolchains`; () for Python itself."""

    @property
    def body_ends(self) -> Literal["dedent", "brace", "fence"]:
        """What closes a function, so that an answer can be ended there.

        dedent: a line at the margin that belongs to something else; brace: the brace that closes the last open bracket;
        fence: nothing that brackets or indentation tell, so that the model's closing code fence alone ends an answer.
        """

    @property
    def harness(self) -> Harness | None:
        """Its tests; None for Python alone, whose tests the testing layer rewrites and seals itself."""

    def parse_error(self, source: str) -> ParseProblem | None:
        """The first reason why `source` is no valid program; None when it is one."""

    def extract(self, text: str) -> str:
        """The program inside a model's answer: a fenced block or bare code, without the prose around it.

        Ends in one newline. When nothing in the answer looks like code the whole text comes back, so that its parse
        error can be told; an empty answer gives "".
        """

    def with_imports(self, source: str) -> str:
        """The program with imports of the standard library that it uses and lacks; unchanged when it does not parse."""

    def signature(self, text: str) -> str | None:
        """The head of the function that a prompt or program speaks of, as this language writes it; None without one."""

    def opening(self, name: str) -> str:
        """How a program begins that defines the function `name`, up to where its arguments come: "def name("."""
