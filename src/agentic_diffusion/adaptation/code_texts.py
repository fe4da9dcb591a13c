"""What the block denoiser of code learns from: texts of tokens, each with the place where the answer begins.

    answer     the parent's own answer to a prompt (self-distillation)
    solution   a description in the product's chat form, and the program that people wrote for it
    hole       a program with a hole, the suffix before the prefix; the middle is the answer (see `infill_form`)

Files of texts are JSON lines: tokens, begin, taught, kind. Answers of the parent are lines [prompt, answer], in tokens.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agentic_diffusion.codegen.request import spoken_prompt
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.corpus_rows import Example
from agentic_diffusion.domains.code.holes import Kind, cut_hole
from agentic_diffusion.domains.code.infill_form import middle_tokens, suffix_first_prompt
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.randomness import derive

TextKind = Literal["answer", "solution", "hole"]
_FEWEST = 4
"""Answer tokens that a text must have to be worth a batch's room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingText:
    """One text."""

    tokens: list[int]
    """Prompt and answer."""
    begin: int
    """Where the answer begins."""
    taught: int
    """The first place whose token the parent does not teach; the number of tokens where it teaches all."""
    kind: TextKind
    """What it is."""

    @property
    def answer(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - self.begin


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How examples become texts."""

    longest: int = 256
    """Tokens of a text; solutions are cut there, what a hole does not need of its program is left out."""
    solutions: float = 1.0
    """Share of the described examples that become a text of the kind `solution`."""
    holes: float = 1.0
    """Holes cut in each program, on average."""
    kinds: tuple[Kind, ...] = ("line", "line", "lines", "span")
    """Kinds of holes; each hole draws one of them, so a kind that is named twice comes twice as often."""
    hole_tokens: int = 96
    """Most tokens of a middle."""
    seed: int = 0
    """Seed of all that is drawn."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if self.longest < 64 or not 4 <= self.hole_tokens <= self.longest // 2:
            raise ConfigError(
                f"Texts of {self.longest} tokens with middles of {self.hole_tokens} are out of range.",
                hint="longest is 64 or more, hole_tokens lies between 4 and half of that.",
            )
        if not 0 <= self.solutions <= 1 or self.holes < 0 or not self.kinds:
            raise ConfigError(
                f"{self.solutions} solutions and {self.holes} holes of {len(self.kinds)} kinds are out of range.",
                hint="solutions lies in [0, 1], holes is 0 or more, and at least one kind is named.",
            )


def make_texts(examples: Iterable[Example], tokenizer: CodeTokenizer, settings: TextSettings) -> list[TrainingText]:
    """The texts of examples, in their order; an example may give none, or several."""
    texts = []
    for example in examples:
        draw = named_draw(settings.seed, "texts", example.id)  # of the example alone, whatever comes before it
        if example.description and draw.random() < settings.solutions:
            texts.append(solution_text(example, tokenizer, settings.longest))
        count = int(settings.holes) + (draw.random() < settings.holes % 1)
        texts += [hole_text(example, tokenizer, settings, draw) for _ in range(count)]
    return [text for text in texts if text is not None]


def solution_text(example: Example, tokenizer: CodeTokenizer, longest: int) -> TrainingText | None:
    """An example in the chat form of `agd generate`; None where its description leaves no room for the solution.

    The request is the description, and the head of the function where there is one and the description lacks it.
    """
    language = languages.get(example.language)
    request = example.description
    if example.signature and example.signature not in request:
        request += f"\n{example.signature}"
    if example.faulty:
        request += f"\nRepair this program:\n{example.faulty.strip()}"
    prompt = tokenizer.chat(spoken_prompt(request, language), language=language.fences[0]).tokens
    tokens = [*prompt, *tokenizer.encode(f"{_plain(example)}\n"), tokenizer.fence_id][:longest]
    return _text(tokens, len(prompt), len(tokens), "solution")


def hole_text(
    example: Example, tokenizer: CodeTokenizer, settings: TextSettings, draw: random.Random
) -> TrainingText | None:
    """A program of an example with a hole in it; None where none worth filling was found.

    In every second text the description is told, too. The parent teaches the middle, not its end.
    """
    hole = cut_hole(_plain(example) + "\n", draw.choice(settings.kinds), draw)
    if hole is None:
        return None
    middle = middle_tokens(tokenizer, hole.middle)
    if len(middle) > settings.hole_tokens:
        return None
    request = example.description if draw.random() < 0.5 and len(example.description) < 300 else ""
    fence = languages.get(example.language).fences[0]
    room = settings.longest - len(middle)
    try:
        prompt = suffix_first_prompt(tokenizer, hole.prefix, hole.suffix, fence=fence, request=request, longest=room)
    except UsageError:  # the description alone fills the room
        prompt = suffix_first_prompt(tokenizer, hole.prefix, hole.suffix, fence=fence, longest=room)
    return _text([*prompt, *middle], len(prompt), len(prompt) + len(middle) - 1, "hole")


def read_answers(path: Path, longest: int) -> list[TrainingText]:
    """The parent's answers in a file of lines [prompt tokens, answer tokens, ...]; UsageError for a wrong line."""
    texts = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The answers {path} cannot be read: {error}.", hint="make them with `answers`.") from error
    for number, line in enumerate(lines, start=1):
        try:
            found = json.loads(line)
            prompt, answer = [int(token) for token in found[0]], [int(token) for token in found[1]]
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise UsageError(
                f"Line {number} of {path} is no prompt with its answer: {error}.",
                hint="mend that line, or leave it out.",
            ) from error
        tokens = [*prompt, *answer][:longest]
        texts.append(_text(tokens, len(prompt), len(tokens), "answer"))
    return [text for text in texts if text is not None]


def write_texts(path: Path, texts: Sequence[TrainingText]) -> None:
    """Write texts as JSON lines, atomically."""
    json_lines.write(path, (asdict(text) for text in texts))


def read_texts(path: Path) -> list[TrainingText]:
    """Texts that `write_texts` wrote; UsageError names a line that is none."""
    found = json_lines.read(path, noun="file of texts")
    if found.broken:
        raise UsageError(f"Line {found.broken[0][0]} of {path} is {found.broken[0][1]}.", hint="make the file anew.")
    texts = []
    for number, fields in found.rows:
        try:
            text = TrainingText(**fields)
            right = 1 <= text.begin < len(text.tokens) and text.begin <= text.taught <= len(text.tokens)
        except TypeError:
            right = False
        if not right:
            raise UsageError(f"Line {number} of {path} is no training text.", hint="make the file anew.")
        texts.append(text)
    if not texts:
        raise UsageError(f"The file of texts {path} is empty.", hint="give more data.")
    return texts


def summary(texts: Sequence[TrainingText]) -> str:
    """How many texts and answer tokens of each kind."""
    counts, tokens = Counter(text.kind for text in texts), Counter[str]()
    for text in texts:
        tokens[text.kind] += text.answer
    return ", ".join(f"{counts[kind]:,} of kind {kind} ({tokens[kind]:,} answer tokens)" for kind in sorted(counts))


def mix(texts: Sequence[TrainingText], shares: Mapping[TextKind, float], *, seed: int = 0) -> list[TrainingText]:
    """As many of the texts as go in, so that each kind has its share of the answer tokens; in a random order.

    A kind without a share is left out. Shares need not add up to 1. Raises UsageError for a share of a kind that is not
    there.
    """
    draw = named_draw(seed, "mix")
    by_kind = {kind: [text for text in texts if text.kind == kind] for kind, share in shares.items() if share > 0}
    have = {kind: sum(text.answer for text in found) for kind, found in by_kind.items()}
    for kind, tokens in have.items():
        if not tokens:
            raise UsageError(f"There are no texts of kind {kind!r} to mix in.", hint="leave that share out.")
    unit = min(have[kind] / shares[kind] for kind in have)
    mixed: list[TrainingText] = []
    for kind, found in by_kind.items():
        draw.shuffle(found)
        left = unit * shares[kind]
        for text in found:
            if left <= 0:
                break
            left -= text.answer
            mixed.append(text)
    draw.shuffle(mixed)
    return mixed


def named_draw(seed: int, *names: str) -> random.Random:
    """Python's generator for one purpose; no secrets depend on it."""
    return random.Random(derive(seed, *names))  # noqa: S311


def _text(tokens: list[int], begin: int, taught: int, kind: TextKind) -> TrainingText | None:
    if len(tokens) - begin < _FEWEST:
        return None
    return TrainingText(tokens=tokens, begin=begin, taught=taught, kind=kind)


def _plain(example: Example) -> str:
    """The solution without blank ends, and without tabs where its language is not written with them."""
    program = example.solution if example.language == "go" else example.solution.replace("\t", "    ")
    return "\n".join(line.rstrip() for line in program.strip("\n").split("\n")).rstrip()
