"""The tokenizer of a code model: text to ids and back, and the chat form that prompts take.

The prompt form decides what a small instruct model can do: the request as the user's turn, then the assistant's turn
opened with a code fence and, where the tests tell the function's name, with the head of its definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from agentic_diffusion.foundation.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FENCE = "```"
"""Opens and closes a code block; one token of the default model."""


@dataclass(frozen=True)
class Prompt:
    """A request in the model's chat form."""

    tokens: list[int]
    """Everything before the answer, the opened code fence and `opening` included."""
    opening: str
    """The beginning of the program that the prompt already contains, such as "def name("."""


class CodeTokenizer:
    """Byte-level tokens of a model folder's `tokenizer.json`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Wrap a loaded tokenizer; the code fence must be one token of it."""
        self._tokenizer = tokenizer
        fence = tokenizer.encode(FENCE, add_special_tokens=False).ids
        if len(fence) != 1:
            raise ModelFileError(
                f"The tokenizer splits a code fence into {len(fence)} tokens; answers could not be ended by it.",
                hint="use a model of the SmolLM family.",
            )
        self.fence_id: int = fence[0]

    @classmethod
    def load(cls, folder: Path) -> CodeTokenizer:
        """Read `tokenizer.json` of a model folder."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelFileError(f"The model folder {folder} has no tokenizer.json.", hint="run `agd setup`.")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as problem:
            # The tokenizers library raises plain Exception for every unreadable file; anything else is passed on.
            if type(problem) is not Exception:
                raise
            raise ModelFileError(
                f"The tokenizer {path} cannot be read: {problem}.", hint="run `agd models verify`, then `agd setup`."
            ) from problem

    def definition(self) -> str:
        """The tokenizer as the text of a `tokenizer.json`."""
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens written in it are not recognised, so a prompt cannot forge a turn."""
        self._tokenizer.encode_special_tokens = True
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """As `encode`, with the offsets in `text` between which each token stands, in characters."""
        self._tokenizer.encode_special_tokens = True
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return list(found.ids), [(int(start), int(end)) for start, end in found.offsets]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`, special ones left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The text that each token adds; a character split over several tokens appears with the last of them."""
        shown, pieces = "", []
        for end in range(1, len(tokens) + 1):
            text = self.decode(tokens[:end]).rstrip("\ufffd")
            pieces.append(text[len(shown) :])
            shown = text
        if pieces:  # what no later token completes is shown as the replacement character that it decodes to
            pieces[-1] += self.decode(tokens)[len(shown) :]
        return pieces

    def chat(self, request: str, *, language: str = "python", opening: str = "") -> Prompt:
        """The chat form of a request."""
        start, end = self.special("<|im_start|>"), self.special("<|im_end|>")
        tokens = [start, *self.encode(f"user\n{request}"), end, *self.encode("\n"), start]
        tokens += self.encode(f"assistant\n{FENCE}{language}\n{opening}")
        return Prompt(tokens, opening)

    def special(self, token: str) -> int:
        """The id of a special token; ModelFileError where the tokenizer has none."""
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ModelFileError(
                f"The tokenizer has no token {token}, so the chat form cannot be written.",
                hint="use an instruct model of the SmolLM family.",
            )
        return int(found)
