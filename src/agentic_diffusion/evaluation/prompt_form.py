"""Prompt forms: committed files that say how a task is put to the model, known by name and checksum.

The form decides what a small model scores, so every result names it. A form is a TOML file with `name`, `request` (the
user's turn), `request_without_example` (the same for tasks that show none) and `opening` (how the answer begins inside
its code fence). Both are texts with fields in braces: those of `FIELDS`.
"""

from __future__ import annotations

import hashlib
import string
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer, Prompt
    from agentic_diffusion.evaluation.tasks import BenchTask

FOLDER = Path(__file__).parent / "prompts"
"""The forms that ship with the package."""
FIELDS = frozenset(
    {"text", "signature", "entry_point", "example", "language", "preamble", "prefix", "suffix", "faulty"}
)
"""What a form may speak of: fields of a task, its first example, and the title of its language."""
_KEYS = ("name", "request", "request_without_example", "opening")
_FORMS = {
    "humaneval": "stub",
    "mbpp": "function",
    "mbxp": "function",
    "infilling": "hole",
    "humanevalfix": "repair",
    "quixbugs": "repair",
    "exercism": "exercise",
}


@dataclass(frozen=True, kw_only=True)
class PromptForm:
    """How a task is put to the model."""

    name: str
    """Its name."""
    request: str
    """The user's turn."""
    request_without_example: str
    """The user's turn for a task that shows no example."""
    opening: str
    """How the answer begins."""
    checksum: str
    """SHA-256 of the file's bytes."""

    def request_for(self, task: BenchTask) -> str:
        """The user's turn for a task."""
        text = self.request if task.shown else self.request_without_example
        return text.strip("\n").format_map(_values(task)).strip()

    def opening_for(self, task: BenchTask) -> str:
        """The beginning of the answer for a task, without white space at its end.

        Tokens hold the line break together with the indentation behind it; after a bare line break small models take
        the program for whole and end at once.
        """
        return self.opening.format_map(_values(task)).rstrip()

    def prompt_for(self, task: BenchTask, tokenizer: CodeTokenizer) -> Prompt:
        """The whole chat form, the opened code fence included."""
        fence = languages.get(task.language).fences[0]
        return tokenizer.chat(self.request_for(task), language=fence, opening=self.opening_for(task))


def form_for(benchmark_format: str) -> PromptForm:
    """The form that ships for a benchmark format."""
    return load_form(_FORMS[benchmark_format])


def load_form(name: str | Path) -> PromptForm:
    """A form that ships, by its name, or one of your own, by its path; UsageError for anything else."""
    path = Path(name)
    if path.suffix != ".toml":
        path = FOLDER / f"{name}.toml"
    try:
        data = path.read_bytes()
        fields = tomllib.loads(data.decode())
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise UsageError(
            f"There is no prompt form {str(name)!r}.", hint=f"use {known}, or give the path of a .toml file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The prompt form {path.name} is no TOML: {error}.", hint="mend that line.") from error
    if set(fields) != set(_KEYS) or not all(isinstance(value, str) for value in fields.values()):
        raise UsageError(
            f"The prompt form {path.name} has the fields {', '.join(sorted(fields)) or 'none'}.",
            hint=f"it needs these, as texts: {', '.join(_KEYS)}.",
        )
    for key in _KEYS[1:]:
        _check_fields(fields[key], path.name)
    return PromptForm(checksum=hashlib.sha256(data).hexdigest(), **fields)


def _check_fields(text: str, name: str) -> None:
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise UsageError(f"The prompt form {name} has a wrong brace: {error}.", hint="write {{ for a brace.") from error
    if not used <= FIELDS:
        raise UsageError(
            f"The prompt form {name} speaks of {', '.join(sorted(used - FIELDS)) or 'a field without a name'}.",
            hint=f"fields are {', '.join(sorted(FIELDS))}; write {{{{ for a brace.",
        )


def _values(task: BenchTask) -> dict[str, str]:
    return {
        "text": task.text,
        "signature": task.signature,
        "entry_point": task.entry_point,
        "example": task.shown[0].strip() if task.shown else "",
        "language": languages.get(task.language).title,
        "preamble": task.preamble,
        "prefix": task.prefix,
        "suffix": task.suffix,
        "faulty": task.faulty.strip(),
    }
