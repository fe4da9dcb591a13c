"""How a hole is put to the model: one object a form, so that a newly trained one plugs in as another object.

    SuffixShown    a chat that asks for a program which ends with the suffix; the answer is the program up to the hole
    LeftContext    the same without the suffix in view: what is left of a model that only goes on
    SuffixFirst    the suffix before the prefix in the clean past, and a token that ends the middle; for adapters that
                   were trained on it (`domains.code.infill_form`)

The suffix stands before the prefix, and the program is not shown a second time with the hole marked: so the parent
finds lines that were taken out of programs likelier, and prompts are shorter.

The untrained forms end a prompt where tokens naturally end: trailing white space, or the last token of the prefix, is
taken off it, and the answer has to begin with that ("token healing"). A model that reads "\\n" as a token of its own
goes on at the margin; one that reads it as the beginning of "\\n    " goes on in the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.infill_form import end_of_middle, suffix_first_prompt
from agentic_diffusion.domains.code.tokenizer import FENCE
from agentic_diffusion.foundation.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    from agentic_diffusion.codegen.hole import Hole
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

_BLANK = " \t\r\n"
_HEALED = 200
"""Characters of the prefix that are looked at to find its last token."""
_SUFFIX_SHARE = 0.4
"""Share of a window that the suffix may take; what it leaves belongs to the prefix."""
_WIDEST = 64
"""Characters that a token has at most on average; longer texts are cut before they are split into tokens."""
_NOTE_SHARE = 0.25
"""Share of the room that the note may take."""


@dataclass(frozen=True)
class InfillPrompt:
    """A hole in the model's form."""

    tokens: list[int]
    """Everything before the answer."""
    forced: str
    """The end of the prefix that the prompt lacks: every answer begins with it, no filling holds it."""
    enders: tuple[int, ...]
    """Tokens that end a filling, besides the model's own end-of-text."""
    tells_end: bool = False
    """Whether the model was trained to say where a filling ends; of an answer that ended no shorter part is tried."""


class PromptForm(Protocol):
    """A way to put a hole to the model."""

    def prompt(self, hole: Hole, tokenizer: CodeTokenizer, room: int) -> InfillPrompt:
        """The prompt in at most `room` tokens; UsageError where the form alone has more."""


@dataclass(frozen=True)
class SuffixShown:
    """A chat that asks for a program which ends with the suffix; the answer is the program up to the hole."""

    def prompt(self, hole: Hole, tokenizer: CodeTokenizer, room: int) -> InfillPrompt:
        """See `PromptForm`; of a program that is too large the lines around the hole are shown."""
        kept, forced = healed(hole.prefix, tokenizer)
        note = cut_end(hole.note.strip(), tokenizer, int(room * _NOTE_SHARE))
        free = _room(len(self._form(hole, tokenizer, "", "", note)), room)
        behind = cut_end(hole.suffix.strip("\n").rstrip(), tokenizer, int(free * _SUFFIX_SHARE))
        free = _room(len(self._form(hole, tokenizer, "", behind, note)), room)
        before = cut_begin(kept, tokenizer, free)
        return InfillPrompt(self._form(hole, tokenizer, before, behind, note), forced, (tokenizer.fence_id,))

    def _form(self, hole: Hole, tokenizer: CodeTokenizer, before: str, behind: str, note: str) -> list[int]:
        language = languages.get(hole.language)
        asked = f"Write a {language.title} program"
        if behind:
            asked += f" that ends with these lines:\n{FENCE}{language.fences[0]}\n{behind}\n{FENCE}"
        request = f"{note}\n{asked}" if note else asked
        return tokenizer.chat(request, language=language.fences[0], opening=before).tokens


@dataclass(frozen=True)
class LeftContext:
    """A chat whose answer goes on from the prefix; the suffix is out of view."""

    def prompt(self, hole: Hole, tokenizer: CodeTokenizer, room: int) -> InfillPrompt:
        """See `PromptForm`."""
        kept, forced = healed(hole.prefix, tokenizer)
        language = languages.get(hole.language)
        note = cut_end(hole.note.strip(), tokenizer, int(room * _NOTE_SHARE))
        request = f"{note}\nWrite a {language.title} program.".strip()
        form = tokenizer.chat(request, language=language.fences[0]).tokens
        before = cut_begin(kept, tokenizer, _room(len(form), room))
        opened = tokenizer.chat(request, language=language.fences[0], opening=before)
        return InfillPrompt(opened.tokens, forced, (tokenizer.fence_id,))


@dataclass(frozen=True)
class SuffixFirst:
    """The suffix before the prefix in the clean past; the end-of-middle token says how long the filling is.

    What such a model was trained on is split into tokens at the hole itself, and a middle of whole lines has its last
    line break, so nothing is healed and a suffix begins with its first line.
    """

    def prompt(self, hole: Hole, tokenizer: CodeTokenizer, room: int) -> InfillPrompt:
        """See `PromptForm`."""
        tokens = suffix_first_prompt(
            tokenizer,
            hole.prefix,
            hole.suffix.removeprefix("\n") if hole.whole_lines else hole.suffix,
            fence=languages.get(hole.language).fences[0],
            request=cut_end(hole.note.strip(), tokenizer, int(room * _NOTE_SHARE)),
            longest=room,
        )
        return InfillPrompt(tokens, "", (end_of_middle(tokenizer),), tells_end=True)


FORMS: dict[str, PromptForm] = {"": SuffixShown(), "suffix-first": SuffixFirst()}
"""Forms by the name that an adapter trained on holes notes in its file; "" is that of all others."""


def form_named(name: str) -> PromptForm:
    """The form that an adapter names; ModelFileError where there is none of that name."""
    if name not in FORMS:
        raise ModelFileError(
            f"The adapter was trained on holes of the form {name!r}, which is not known here.",
            hint="use a newer version of this package, or another adapter.",
        )
    return FORMS[name]


def _room(form: int, room: int) -> int:
    """What is left of a room beside the form."""
    if form >= room:
        raise UsageError(
            f"The form of a hole has {form} tokens, and there is room for {room}.", hint="shorten the note."
        )
    return room - form


def healed(prefix: str, tokenizer: CodeTokenizer) -> tuple[str, str]:
    """The prefix without its open end, and that end: its trailing white space, or else its last token."""
    kept = prefix.rstrip(_BLANK)
    if kept != prefix or not prefix:
        return kept, prefix[len(kept) :]
    tail = prefix[-_HEALED:]
    shown = tokenizer.decode(tokenizer.encode(tail)[:-1])
    if not tail.startswith(shown):  # the last token begins inside a character
        return prefix, ""
    return prefix[: len(prefix) - len(tail) + len(shown)], tail[len(shown) :]


def cut_begin(text: str, tokenizer: CodeTokenizer, room: int) -> str:
    """The last lines of `text` that have at most `room` tokens; where one line alone has more, the end of it."""
    text = text[-_WIDEST * max(room, 1) :]
    tokens = tokenizer.encode(text)
    if len(tokens) <= room:
        return text
    tail = tokenizer.decode(tokens[len(tokens) - room :]) if room > 0 else ""
    return tail.split("\n", 1)[1] if "\n" in tail else tail.lstrip("\ufffd")


def cut_end(text: str, tokenizer: CodeTokenizer, room: int) -> str:
    """The first lines of `text` that have at most `room` tokens; where one line alone has more, its beginning."""
    text = text[: _WIDEST * max(room, 1)]
    tokens = tokenizer.encode(text)
    if len(tokens) <= room:
        return text
    head = tokenizer.decode(tokens[: max(room, 0)])
    return head.rsplit("\n", 1)[0] if "\n" in head else head.rstrip("\ufffd")
