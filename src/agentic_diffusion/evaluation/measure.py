"""Measuring: every task is answered in batches across tasks, judged in the sandbox, and noted when it is finished.

Rows of a batch are samples of tasks of one language whose prompts are about equally long, so that a batch is even. A
sample's random stream follows from the task's name and the sample's number: neither the batch nor the other tasks
change its text. Counted are new tokens up to the end of the text, the ending one included, and forwards of samples.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Int
    from torch import Tensor

    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.constraint import TextConstraint
    from agentic_diffusion.codegen.endings import AnswerEnd
    from agentic_diffusion.diffusion.block_decoder import DecodeSettings
    from agentic_diffusion.domains.code.tokenizer import Prompt
    from agentic_diffusion.evaluation.journal import Journal
    from agentic_diffusion.evaluation.prompt_form import PromptForm
    from agentic_diffusion.evaluation.soundness import ReadyTask
    from agentic_diffusion.evaluation.tasks import BenchTask
    from agentic_diffusion.foundation.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """How a benchmark is run."""

    decode: DecodeSettings
    """Mode, temperature and the rest; temperature 0 is greedy."""
    samples: int = 1
    """Samples of each task."""
    batch: int = 8
    """Samples that are denoised together."""
    constraint: bool = True
    """Whether answers are held to the grammar of their language, where it has one; holes never are."""
    case_seconds: float = 10.0
    """Limit of one program's run on a task's tests."""
    memory_bytes: int = 512 << 20
    """Memory limit of one program."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.samples < 1 or self.batch < 1:
            raise ConfigError(
                f"{self.samples} samples in batches of {self.batch} are not possible.", hint="use 1 or more of each."
            )
        if self.samples > 1 and self.decode.temperature == 0:
            raise ConfigError(
                f"{self.samples} greedy samples of a task would be the same text {self.samples} times.",
                hint="use --temperature 0.8, or one sample.",
            )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One sample of one task, judged."""

    program: str
    """The whole program."""
    passed: bool
    """Whether it passes the benchmark's own tests."""
    hidden: bool | None
    """Whether it passes the hidden cases too; None where there are none, or where it did not come so far."""
    message: str
    """The first failure in one line."""
    tokens: int
    """New tokens up to the end of the text, the ending one included."""
    finished: bool
    """Whether the model ended the text itself."""


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What became of one task."""

    task: str
    """Its name."""
    answers: tuple[Answer, ...]
    """One a sample."""
    forwards: float
    """Its share of the denoising steps of its batches, summed over its samples."""
    seconds: float
    """Its share of the wall seconds of denoising."""
    judge_seconds: float
    """Wall seconds in the sandbox."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, without the name."""
        found = asdict(self)
        del found["task"]
        return found

    @classmethod
    def from_json(cls, task: str, record: dict[str, Any]) -> TaskResult:
        """The result that `as_json` wrote."""
        return cls(**{**record, "task": task, "answers": tuple(Answer(**answer) for answer in record["answers"])})


@dataclass
class _Open:
    """A task whose samples are being drawn."""

    ready: ReadyTask
    prompt: Prompt
    texts: dict[int, tuple[str, int, bool]] = field(default_factory=dict)
    forwards: float = 0.0
    seconds: float = 0.0


def measure(
    tasks: Sequence[ReadyTask],
    coder: Coder,
    form: PromptForm,
    settings: MeasureSettings,
    *,
    sandbox: Sandbox,
    journal: Journal,
) -> list[TaskResult]:
    """Answer and judge every task that the journal does not hold yet; all results, in the order of the tasks.

    Prompts that leave no room for an answer in the model's context fail their task: the answer is empty.
    """
    todo = [_Open(ready, form.prompt_for(ready.task, coder.tokenizer)) for ready in tasks]
    todo = [task for task in todo if task.ready.task.id not in journal.done]
    with events.progress(f"mode {settings.decode.mode}", len(tasks), "tasks") as shown:
        shown.advance(len(tasks) - len(todo))
        for batch in _batches(todo, coder, settings):
            _answer(batch, coder, settings)
            for task in {id(task): task for task, _ in batch}.values():
                if len(task.texts) == settings.samples:
                    result = _judge(task, settings, sandbox)
                    journal.add(result.task, result.as_json())
                    shown.advance()
    return [TaskResult.from_json(ready.task.id, journal.done[ready.task.id]) for ready in tasks]


class EndOfEach:
    """The rule that ends answers in a batch of different prompts: each row by the rule of its own prompt."""

    def __init__(self, prompts: Sequence[Prompt], ends: Sequence[AnswerEnd | None]) -> None:
        """`ends` has a rule, or None, for each of `prompts`; equal prompts share the first one's."""
        self._rules = {tuple(prompt.tokens): end for prompt, end in reversed(list(zip(prompts, ends, strict=True)))}
        # A row is known by the prompt that it begins with; of two that fit, the longer one.
        self._prompts = sorted(self._rules, key=len, reverse=True)

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Whether an answer ends before each token; rows leave a batch, so they are found by what they hold."""
        found = torch.zeros_like(tokens, dtype=torch.bool)
        left = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
        for prompt in self._prompts:
            begin = torch.tensor(prompt, device=tokens.device)
            own = left & (tokens[:, : len(prompt)] == begin).all(1)
            rule = self._rules[prompt]
            if rule is not None and bool(own.any()):
                found[own] = rule(tokens[own])
            left &= ~own
        return found


def program_of(task: BenchTask, opening: str, answer: str) -> str:
    """The whole program that an answer amounts to: prose left out, imports and what stands around the hole added."""
    language = languages.get(task.language)
    if task.kind == "infill":
        # The opening went without the white space at its end, which the answer then begins with.
        gap = task.prefix[len(task.prefix.rstrip()) :]
        return task.preamble + task.prefix + _up_to(answer.removeprefix(gap), task.suffix) + task.suffix
    whole = (opening + answer).strip("\n") + "\n"
    program = language.extract(whole)
    if language.parse_error(program) is not None and language.parse_error(whole) is None:
        program = whole  # what was taken for prose was code
    return language.with_imports(task.preamble + program)


def _up_to(answer: str, suffix: str) -> str:
    """A hole's answer, ended where the text behind the hole begins; a hole inside a line is ended with the line."""
    next_line = next((line for line in suffix.splitlines() if line.strip()), "")
    lines = answer.splitlines(keepends=True)
    if suffix and not suffix.startswith("\n"):
        lines = lines[:1] if not next_line[:1].isspace() else lines
    kept = []
    for line in lines:
        if next_line and line.rstrip() == next_line.rstrip():
            break
        kept.append(line)
    return "".join(kept)


def _batches(todo: list[_Open], coder: Coder, settings: MeasureSettings) -> Iterator[list[tuple[_Open, int]]]:
    """Samples in even batches; a task whose prompt does not fit is answered with nothing."""
    room = coder.parent.shape.context - settings.decode.max_new_tokens
    for task in todo:
        if len(task.prompt.tokens) > room:
            task.texts = dict.fromkeys(range(settings.samples), ("", 0, False))
    ordered = sorted(todo, key=lambda task: (task.ready.task.language, len(task.prompt.tokens)))
    unfit = [(task, number) for task in ordered if task.texts for number in range(settings.samples)]
    if unfit:
        yield unfit
    rows = [(task, number) for task in ordered if not task.texts for number in range(settings.samples)]
    while rows:
        language = rows[0][0].ready.task.language
        size = 1
        while size < min(settings.batch, len(rows)) and rows[size][0].ready.task.language == language:
            size += 1
        yield rows[:size]
        rows = rows[size:]


def _answer(batch: list[tuple[_Open, int]], coder: Coder, settings: MeasureSettings) -> None:
    """Denoise one batch and hand each text to its task."""
    if batch[0][0].texts.get(batch[0][1]) is not None:
        return
    decoder = coder.decoder(settings.decode)
    language = languages.get(batch[0][0].ready.task.language)
    prompts = [task.prompt for task, _ in batch]
    # A hole's answer ends where its suffix begins, which no bracket or margin tells.
    rules = [None if task.ready.task.kind == "infill" else coder.answer_end(language, task.prompt) for task, _ in batch]
    streams = [derive(settings.decode.seed, "sample", task.ready.task.id, number) for task, number in batch]
    begun = time.monotonic()
    held = [_constraint(task, coder, settings) for task, _ in batch]
    tokens = [prompt.tokens for prompt in prompts]
    samples = decoder.decode(tokens, streams, ends=EndOfEach(prompts, rules), constraints=held)
    seconds = time.monotonic() - begun
    for (task, number), sample in zip(batch, samples, strict=True):
        text = coder.tokenizer.decode(sample.tokens)
        task.texts[number] = (text, len(sample.tokens) + sample.finished, sample.finished)
        task.forwards += decoder.counts.row_forwards / len(batch)
        task.seconds += seconds / len(batch)


def _constraint(task: _Open, coder: Coder, settings: MeasureSettings) -> TextConstraint | None:
    """The grammar's hold on one sample; None without one, and for an opening that the grammar does not know."""
    if not settings.constraint or task.ready.task.kind == "infill":
        return None
    constraint = coder.constraint(task.ready.task.language)
    try:
        return None if constraint is None else constraint.start(task.prompt.opening)
    except UsageError as problem:
        events.get_logger(__name__).warning("%s goes without the grammar: %s", task.ready.task.id, problem.message)
        return None


def _judge(task: _Open, settings: MeasureSettings, sandbox: Sandbox) -> TaskResult:
    """Verdicts for all samples of a task; each distinct program runs once."""
    begun = time.monotonic()
    ready, limits = task.ready, Limits(seconds=settings.case_seconds, memory_bytes=settings.memory_bytes)
    programs = [program_of(ready.task, task.prompt.opening, task.texts[i][0]) for i in range(settings.samples)]
    distinct = list(dict.fromkeys(programs))
    seed = derive(settings.decode.seed, "judge", ready.task.id)
    verdicts = dict(zip(distinct, judge(ready.suite, distinct, sandbox, limits, seed=seed), strict=True))
    for program, verdict in verdicts.items():
        if verdict.ok:  # once more alone, beside a planted false assertion: code that fakes its result fails there
            verdicts[program] = confirm(ready.suite, program, sandbox, limits, seed=seed)
    answers = []
    for number, program in enumerate(programs):
        verdict = verdicts[program]
        passed = ready.passes(verdict)
        answers.append(
            Answer(
                program=program,
                passed=passed,
                hidden=verdict.ok if passed and ready.has_hidden else None,
                message=verdict.message,
                tokens=task.texts[number][1],
                finished=task.texts[number][2],
            )
        )
    return TaskResult(
        task=ready.task.id,
        answers=tuple(answers),
        forwards=task.forwards,
        seconds=task.seconds,
        judge_seconds=time.monotonic() - begun,
    )
