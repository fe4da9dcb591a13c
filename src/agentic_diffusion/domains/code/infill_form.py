"""The prompt form of infilling: the suffix stands before the prefix in the clean past, the middle is what is written.

    user        [request] + the suffix, in a code fence
    assistant   an opened code fence + the prefix -> the middle -> END_OF_MIDDLE

So the middle is an answer like every other: it is denoised block by block from left to right, the cache of the past
stays exact, and its length is free, since the answer says itself where it ends. (Bavarian et al. 2022, "Efficient
training of language models to fill in the middle", sec. 3, call this order SPM.) The parent reads it as a chat whose
answer it continues, so that it is a teacher of the middle's tokens; where the middle ends it knows only by training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentic_diffusion.domains.code.tokenizer import FENCE
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

END_OF_MIDDLE = "<|im_end|>"
"""The token that ends a middle. It ends texts of the parent, so every decoder stops at it; answers in a fence end with
the fence, so that of all that is trained only a middle ends with it."""


def suffix_first_prompt(
    tokenizer: CodeTokenizer,
    prefix: str,
    suffix: str,
    *,
    fence: str = "python",
    request: str = "",
    longest: int | None = None,
) -> list[int]:
    """The tokens before a middle: `request` (what the program shall do, or ""), then `suffix`, then `prefix`.

    `fence` is the word behind the opening fence (`Language.fences[0]`). With `longest`, the form has at most so many
    tokens: what is farthest from the hole goes first, prefix and suffix in the proportion of their lengths. Raises
    UsageError where `longest` leaves no room for the form itself.
    """
    before, after = tokenizer.encode(prefix), tokenizer.encode(suffix.rstrip("\n"))
    if longest is not None:
        room = longest - len(_form(tokenizer, [], after[:1], fence, request)) + len(after[:1])
        if room < 1:
            raise UsageError(
                f"The form of a hole has more than {longest} tokens even without the program.",
                hint="give more room, or a shorter description.",
            )
        if len(before) + len(after) > room:
            kept = room * len(before) // (len(before) + len(after))
            before, after = before[len(before) - kept :], after[: room - kept]
    return _form(tokenizer, before, after, fence, request)


def middle_tokens(tokenizer: CodeTokenizer, middle: str) -> list[int]:
    """What is to be written for `middle`: its tokens and the token that ends it."""
    return [*tokenizer.encode(middle), end_of_middle(tokenizer)]


def end_of_middle(tokenizer: CodeTokenizer) -> int:
    """The id of `END_OF_MIDDLE`; ModelFileError where the tokenizer has none."""
    return tokenizer.special(END_OF_MIDDLE)


def _form(tokenizer: CodeTokenizer, before: list[int], after: list[int], fence: str, request: str) -> list[int]:
    start, end = tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")
    asked = f"{request.strip()}\n" if request.strip() else ""
    if after:
        asked += f"Fill in the gap. Behind it the program goes on with:\n{FENCE}{fence}\n"
        turn = [*tokenizer.encode(f"user\n{asked}"), *after, *tokenizer.encode(f"\n{FENCE}")]
    else:
        turn = tokenizer.encode(f"user\n{asked}Fill in the gap. Nothing stands behind it.")
    opened = tokenizer.encode(f"assistant\n{FENCE}{fence}\n")
    return [start, *turn, end, *tokenizer.encode("\n"), start, *opened, *before]
