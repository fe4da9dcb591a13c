"""Programs that parse by construction: a grammar that every committed token must keep completable.

The engine is llguidance: an Earley parser over lexemes that are derivatives of regular expressions, run on the bytes of
tokens, so tokens may end inside lexemes and inside UTF-8 characters. With G the language of the grammar, a subset of
the programming language, p the prefix, s the suffix (empty unless a hole is filled) and y the answer:

    committed     for every committed y[:n] there is a z with p + y[:n] + z in G (Earley's valid-prefix property)
    ended         an answer ends only where p + y + s is in G
    cut           an answer that runs out of tokens becomes y[:m] + c with the largest m for which a completion c was
                  found that fits; m = 0 works, or `start` raises

What no grammar can say (a name declared twice) is looked for in the text; see `domains.code.early_errors`.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import llguidance
import numpy as np
import torch

from agentic_diffusion.domains.code import early_errors, grammar
from agentic_diffusion.domains.code.completions import completions
from agentic_diffusion.foundation.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool
    from torch import Tensor

    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

_MAY_CLASH = re.compile(rb"[^\w$ ]")
"""Only what ends a name can complete an early error."""
_ROUNDS = 64
"""Brackets that a completion closes at most."""
_SPARE = 4
"""Closing pieces beyond one for every bracket that is open: quotes, comments, brackets that pieces bring."""
_LIMITS = llguidance.LLParserLimits(
    max_grammar_size=5_000_000, initial_lexer_fuel=50_000_000, step_lexer_fuel=5_000_000, step_max_items=500_000
)


class Constraint:
    """The grammar of one language over the tokens of one model."""

    def __init__(self, language: str, tokenizer: CodeTokenizer, *, vocabulary: int, enders: Sequence[int]) -> None:
        """Compile the grammar; `enders` are the tokens that end an answer and are no part of it.

        Raises UsageError for a language without a grammar.
        """
        self.language, self.vocabulary, self.enders = language, vocabulary, frozenset(enders)
        self._engine = llguidance.LLTokenizer(tokenizer.definition(), n_vocab=vocabulary, eos_token=min(enders))
        compiled = llguidance.LLMatcher.grammar_from_lark(grammar.source(language))
        self._matcher = llguidance.LLMatcher(self._engine, compiled, limits=_LIMITS)
        if self._matcher.is_error():
            raise ConfigError(
                f"The grammar of {language} is not valid: {self._matcher.get_error().splitlines()[0]}",
                hint="report this with the version of llguidance, or use --no-constraint.",
            )

    def start(self, prefix: str, suffix: str | None = None, *, kept: Sequence[int] = ()) -> TextConstraint:
        """The constraint on an answer between `prefix` and `suffix` whose first tokens are `kept`.

        Raises UsageError when no program of the grammar begins with the prefix (and ends with the suffix).
        """
        begun = self._matcher.deep_copy()
        tokens = self.encode(prefix)
        if begun.try_consume_tokens(tokens) < len(tokens):
            raise UsageError(
                f"No {self.language} program that the grammar knows begins with the given text.",
                hint="mend the text before the answer, or use --no-constraint.",
            )
        made = TextConstraint(self, begun, prefix, suffix or "")
        if made.accepts(kept) < len(kept):
            raise UsageError("The kept tokens break the grammar.", hint="keep fewer of them, or use --no-constraint.")
        made.commit(kept)
        made.drop_base()
        return made

    def encode(self, text: str) -> list[int]:
        """Tokens whose bytes are those of the text."""
        return list(self._engine.tokenize_bytes(text.encode()))

    def bytes_of(self, tokens: Sequence[int]) -> bytes:
        """The bytes of tokens; special ones have none."""
        return bytes(self._engine.decode_bytes(list(tokens)))

    @cached_property
    def closing(self) -> tuple[list[int], ...]:
        """Pieces that close what is open, the shortest first, as tokens."""
        return tuple(self.encode(piece) for piece in completions(self.language).closing)

    @cached_property
    def quotes(self) -> tuple[list[int], ...]:
        """Pieces that close a string or a comment, as tokens."""
        return tuple(self.encode(piece) for piece in completions(self.language).quotes)

    @cached_property
    def odd(self) -> list[int]:
        """A character that only stands in strings and comments, as tokens."""
        return self.encode("\u00a7")

    @cached_property
    def ending(self) -> tuple[list[int], ...]:
        """Pieces that make a program whole, the shortest first, as tokens."""
        return tuple(self.encode(piece) for piece in completions(self.language).ending)


class TextConstraint:
    """The constraint on one answer; see `diffusion.constraint.RowConstraint`."""

    def __init__(self, owner: Constraint, matcher: llguidance.LLMatcher, prefix: str, suffix: str) -> None:
        """Go on from a matcher that has read the prefix."""
        self._owner, self._matcher = owner, matcher
        self._head = prefix.encode()
        self._suffix = owner.encode(suffix)
        self._suffix_text = suffix
        self._tokens: list[int] = []
        self._ended = False
        self._whole = [self._is_whole(matcher, self._head)]

    def drop_base(self) -> None:
        """Count tokens from here on: what was committed belongs to the prefix."""
        self._head += self._owner.bytes_of(self._tokens)
        self._whole = self._whole[-1:]
        self._tokens = []
        if self.finish(1 << 20)[0] < 0:
            raise UsageError(
                "No way was found to complete the program from the given text.",
                hint="give a text that breaks off at a simpler place, or use --no-constraint.",
            )

    def accepts(self, tokens: Sequence[int]) -> int:
        """See `RowConstraint`."""
        if self._ended:
            return 0
        plain = next((i for i, token in enumerate(tokens) if token in self._owner.enders), len(tokens))
        wanted = list(tokens[:plain])
        count = self._matcher.validate_tokens(wanted) if wanted else 0
        if count and _MAY_CLASH.search(self._owner.bytes_of(wanted[:count])):
            count = self._sound(wanted, count)
        if count < len(wanted) or plain == len(tokens):
            return count
        if not wanted:
            return int(self._whole[-1])
        ahead = self._matcher.deep_copy()
        ahead.try_consume_tokens(wanted)
        return count + int(self._is_whole(ahead, self._text(wanted)))

    def commit(self, tokens: Sequence[int]) -> None:
        """See `RowConstraint`."""
        for token in tokens:
            if token in self._owner.enders:
                self._ended = True
                self._whole.append(False)
            elif self._matcher.try_consume_tokens([token]) == 1:
                self._tokens.append(token)
                self._whole.append(self._is_whole(self._matcher, None))
            else:
                raise UsageError(f"The token {token} is forbidden here.", hint="commit only what `accepts` lets pass.")

    def allowed_tokens(self) -> Bool[Tensor, " V"]:
        """See `RowConstraint`."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little")[: self._owner.vocabulary].astype(bool))
        allowed[list(self._owner.enders)] = self._whole[-1]
        return allowed

    def whole(self, count: int) -> bool:
        """See `RowConstraint`."""
        return self._whole[count]

    def finish(self, limit: int) -> tuple[int, list[int]]:
        """See `RowConstraint`; (-1, []) when not even the bare prefix can be completed within the limit."""
        matcher = self._matcher.deep_copy()
        for kept in range(len(self._tokens), -1, -1):
            if kept < len(self._tokens):
                matcher.rollback(1)
            if kept <= limit:
                tail = self._completion(matcher.deep_copy(), self._text_of(kept), limit - kept)
                if tail is not None:
                    return kept, tail
        return -1, []

    def _completion(self, matcher: llguidance.LLMatcher, text: bytes, room: int) -> list[int] | None:
        """Close bracket after bracket until the text is whole; None when that fails or takes more than `room`."""
        tail: list[int] = []
        opened = sum(text.count(bracket) for bracket in b"([{") - sum(text.count(bracket) for bracket in b")]}")
        for _ in range(min(_ROUNDS, max(opened, 0) + _SPARE)):
            if len(tail) <= room and self._is_whole(matcher, text):
                return tail
            for piece in self._owner.ending:
                if len(tail) + len(piece) <= room and matcher.validate_tokens(piece) == len(piece):
                    ahead, grown = matcher.deep_copy(), text + self._owner.bytes_of(piece)
                    ahead.try_consume_tokens(piece)
                    if self._is_whole(ahead, grown) and not self._broken(grown):
                        return tail + piece
            closer = self._closing(matcher, text)
            if closer is None or len(tail) + len(closer) > room:
                return None
            matcher.try_consume_tokens(closer)
            tail, text = tail + closer, text + self._owner.bytes_of(closer)
        return None

    def _closing(self, matcher: llguidance.LLMatcher, text: bytes) -> list[int] | None:
        """A piece that closes the string or comment that is open, or else a bracket; None where none fits."""
        literal = self._in_literal(matcher)
        for piece in self._owner.quotes if literal else self._owner.closing:
            if matcher.validate_tokens(piece) < len(piece) or self._broken(text + self._owner.bytes_of(piece)):
                continue
            if literal:  # what closes it is also ordinary text of another kind of string
                ahead = matcher.deep_copy()
                ahead.try_consume_tokens(piece)
                if self._in_literal(ahead):
                    continue
            return piece
        return None

    def _in_literal(self, matcher: llguidance.LLMatcher) -> bool:
        """Whether any character may follow, as in a string or a comment."""
        return bool(matcher.validate_tokens(self._owner.odd) == len(self._owner.odd))

    def _is_whole(self, matcher: llguidance.LLMatcher, text: bytes | None) -> bool:
        """Whether the text and the suffix make a program; `text` None is the committed text."""
        if not self._suffix:
            return bool(matcher.is_accepting())
        ahead = matcher.deep_copy()
        if ahead.try_consume_tokens(self._suffix) < len(self._suffix) or not ahead.is_accepting():
            return False
        return not self._broken((self._text([]) if text is None else text) + self._suffix_text.encode())

    def _sound(self, tokens: Sequence[int], count: int) -> int:
        """The largest number of the first `count` tokens that do not make an early error certain."""
        if not count or not self._broken(self._text(tokens[:count])):
            return count
        return next(n for n in range(count - 1, -1, -1) if n == 0 or not self._broken(self._text(tokens[:n])))

    def _broken(self, text: bytes) -> bool:
        return early_errors.certain(self._owner.language, text.decode(errors="ignore"))

    def _text(self, more: Sequence[int]) -> bytes:
        return self._head + self._owner.bytes_of([*self._tokens, *more])

    def _text_of(self, kept: int) -> bytes:
        return self._head + self._owner.bytes_of(self._tokens[:kept])
