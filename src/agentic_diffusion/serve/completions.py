"""`/v1/completions` and `/v1/chat/completions`: rows of the engine as choices, whole or streamed by committed block.

A chat is written in the model's chat form; the assistant's turn opens with a code fence, since that is how this model
writes programs, and the fence is part of the answer. `"agd": {"fence": false}` leaves it out. A completion goes on from
the bare text; with `suffix` it is a hole, see `suffixes`.

`"agd": {"steps": true}` adds to a stream what each forward did (`serve.steps`); such chunks have the committed text in
the usual place, so a client that does not know the field loses nothing. Usage counts new tokens: what was committed,
the token that ended a text included.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentic_diffusion.codegen.choice import find, named_in
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.diffusion.running_batch import Ended, NewRow
from agentic_diffusion.domains.code.tokenizer import FENCE
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.serve.engine import Job
from agentic_diffusion.serve.errors import ApiError, api_error
from agentic_diffusion.serve.fields import Field, Fields
from agentic_diffusion.serve.house import HEARTBEAT_SECONDS, House, Mailbox, new_id
from agentic_diffusion.serve.steps import StepEvents
from agentic_diffusion.serve.text_stream import TextStream

if TYPE_CHECKING:
    from agentic_diffusion.diffusion.block_state import StepView
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

CHOICES = 16
"""Most choices of one request."""
_SMALLEST = 1e-6
_SHARED: Fields = {
    "model": Field(kind="string", text="The model's name; there is one, so any is taken for it."),
    "temperature": Field(kind="number", least=0, most=2, text="0 is greedy; left out, the server's own."),
    "top_p": Field(kind="number", least=0, most=1, text="The nucleus; left out, the server's own."),
    "n": Field(kind="integer", least=1, most=CHOICES, default=1, text="Choices of each prompt."),
    "seed": Field(kind="integer", least=0, most=2**63 - 1, text="Seed of the texts; left out, another one each time."),
    "stop": Field(kind="strings", most=16, default=[], text="Texts that end a choice and are no part of it."),
    "stream": Field(kind="boolean", default=False, text="Whether to send committed blocks as they come."),
    "stream_options": Field(kind="object", default={}, text='{"include_usage": true} ends a stream with its usage.'),
    "mode": Field(kind="string", choices=("denoise", "verify", "ar"), text="Who commits tokens."),
    "threshold": Field(kind="number", least=0, most=1, text="Confidence from which tokens are committed together."),
    "agd": Field(kind="object", default={}, text='{"steps": true} tells every step; {"fence": false}, {"language"}.'),
}
_LENGTH = Field(kind="integer", least=1, most=1 << 20, default=256, text="Longest answer in tokens.")
COMPLETION: Fields = _SHARED | {
    "prompt": Field(kind="prompt", most=CHOICES, required=True, text="What to go on from."),
    "suffix": Field(kind="string", text="What stands behind the hole that is to be filled."),
    "max_tokens": _LENGTH,
}
CHAT: Fields = _SHARED | {
    "messages": Field(kind="messages", required=True, text="The talk so far."),
    "max_tokens": Field(kind="integer", least=1, most=1 << 20, text="Longest answer in tokens."),
    "max_completion_tokens": Field(kind="integer", least=1, most=1 << 20, text="The same, by its newer name."),
}


@dataclass(kw_only=True)
class Plan:
    """One request, ready for the engine."""

    chat: bool
    """Whether the answer is a message."""
    rows: list[NewRow]
    """One a choice."""
    model: str
    """The model's name."""
    prompt_tokens: int
    """Tokens of all prompts, each counted once."""
    stops: Sequence[str]
    """Texts that end a choice."""
    opening: str = ""
    """What every answer begins with and the model did not have to write."""
    stream: bool = False
    """Whether blocks are sent as they come."""
    steps: bool = False
    """Whether steps are told."""
    usage: bool = False
    """Whether a stream ends with its usage."""
    identity: str = field(default_factory=lambda: new_id("agd"))
    created: int = field(default_factory=lambda: int(time.time()))


def decode_settings(values: Mapping[str, Any], house: House, *, stops: Sequence[int], longest: int) -> DecodeSettings:
    """How the rows of a request are denoised: what it says, else what the server's settings say."""
    own = house.generate
    mode = values["mode"] or (own.mode if house.coder.adapter is not None else "ar")
    top_p, threshold = (_or(values[name], getattr(own, name)) for name in ("top_p", "threshold"))
    return DecodeSettings(
        mode=mode,
        block=1 if mode == "ar" else max(own.block, 4),
        threshold=max(threshold, _SMALLEST),
        temperature=_or(values["temperature"], own.temperature),
        top_p=max(top_p, _SMALLEST),
        max_new_tokens=longest,
        stop_tokens=tuple(stops),
        seed=secrets.randbelow(1 << 63) if values["seed"] is None else values["seed"],
    )


def completion_plan(values: Mapping[str, Any], house: House) -> Plan:
    """A completion of bare texts."""
    prompts = _prompts(values["prompt"], house)
    settings = decode_settings(values, house, stops=(), longest=values["max_tokens"])
    rows = [
        NewRow(prompt=prompt, settings=settings, stream=place * values["n"] + choice)
        for place, prompt in enumerate(prompts)
        for choice in range(values["n"])
    ]
    return _plan(values, house, rows, chat=False, prompt_tokens=sum(map(len, prompts)))


def chat_plan(values: Mapping[str, Any], house: House) -> Plan:
    """An answer to a talk."""
    tokenizer = house.coder.tokenizer
    fence = _option(values, "fence", bool, True)
    opening = ""
    if fence:
        said = " ".join(one["content"] for one in values["messages"] if one["role"] == "user")
        asked = _option(values, "language", str, "")
        language = find(asked) if asked else (named_in(said[-4000:]) or find(house.generate.language))
        opening = f"{FENCE}{language.fences[0]}\n"
    prompt = chat_tokens(tokenizer, values["messages"], opening)
    stops = (tokenizer.special("<|im_end|>"), *((tokenizer.fence_id,) if fence else ()))
    longest = values["max_completion_tokens"] or values["max_tokens"] or _LENGTH.default
    settings = decode_settings(values, house, stops=stops, longest=longest)
    rows = [NewRow(prompt=prompt, settings=settings, stream=choice) for choice in range(values["n"])]
    return _plan(values, house, rows, chat=True, prompt_tokens=len(prompt), opening=opening)


def chat_tokens(tokenizer: CodeTokenizer, messages: Sequence[Mapping[str, str]], opening: str) -> list[int]:
    """The chat form of a talk whose next turn is the assistant's, which begins with `opening`."""
    start, end = tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")
    tokens: list[int] = []
    for one in messages:
        role = "system" if one["role"] == "developer" else one["role"]
        tokens += [start, *tokenizer.encode(f"{role}\n{one['content']}"), end, *tokenizer.encode("\n")]
    return [*tokens, start, *tokenizer.encode(f"assistant\n{opening}")]


def _plan(
    values: Mapping[str, Any], house: House, rows: list[NewRow], *, chat: bool, prompt_tokens: int, opening: str = ""
) -> Plan:
    if len(rows) > CHOICES:
        raise ApiError(400, f"{len(rows)} choices in one request; at most {CHOICES} are allowed.", param="n")
    return Plan(
        chat=chat,
        rows=rows,
        model=house.name,
        prompt_tokens=prompt_tokens,
        stops=values["stop"],
        opening=opening,
        stream=values["stream"],
        steps=values["stream"] and _option(values, "steps", bool, False),
        usage=bool(values["stream_options"].get("include_usage")),
    )


def _prompts(given: Any, house: House) -> list[list[int]]:
    """Prompts as tokens; token ids of the vocabulary are taken as they are."""
    if isinstance(given, list) and isinstance(given[0], int):
        if max(given) >= house.coder.parent.shape.vocabulary:
            raise ApiError(400, f"There is no token {max(given)}.", param="prompt", code="invalid_value")
        return [given]
    made = [house.coder.tokenizer.encode(text) for text in ([given] if isinstance(given, str) else given)]
    if not all(made):
        raise ApiError(400, "A prompt is empty: give it a text.", param="prompt", code="invalid_value")
    return made


def _option(values: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """One of our own options."""
    value = values["agd"].get(name, default)
    if not isinstance(value, kind):
        raise ApiError(400, f"agd.{name} must be {'a text' if kind is str else 'true or false'}.", param="agd")
    return value


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


class Answer:
    """A job of the engine on its way to becoming an answer."""

    def __init__(self, plan: Plan, house: House, client: str) -> None:
        """Queue the rows; BusyError where there are too many."""
        self.plan, self.house = plan, house
        self._mailbox = Mailbox()
        tokenizer = house.coder.tokenizer
        eos = house.coder.parent.shape.eos_id
        self.texts = [
            TextStream(tokenizer, stops=plan.stops, enders=[eos, *row.settings.stop_tokens]) for row in plan.rows
        ]
        self._places = {row.stream: place for place, row in enumerate(plan.rows)}
        self._events = StepEvents(tokenizer, rows=[row.stream for row in plan.rows])
        self.job = Job(rows=plan.rows, client=client, seconds=house.seconds, observe=self._mailbox.put)
        self.job.outcome.add_done_callback(self._mailbox.put)
        house.coder.engine.submit(self.job)

    async def pieces(self) -> AsyncIterator[tuple[int, str, dict[str, Any] | None] | None]:
        """(choice, new text, step) as they come, None for a pause; raises what ended the job."""
        while True:
            try:
                item = await self._mailbox.get(HEARTBEAT_SECONDS)
            except TimeoutError:
                yield None
                continue
            if item is self.job.outcome:
                break
            for piece in self._of(item):
                yield piece
        ended = self.job.outcome.result()
        if self.job.first_step is not None:
            self.house.metrics.observe("agd_first_block_seconds", self.job.first_step)
        for place, one in enumerate(ended):
            if rest := self.texts[place].finish(one.sample.tokens):
                yield place, rest, None

    def _of(self, view: StepView) -> list[tuple[int, str, dict[str, Any] | None]]:
        """What one step brought."""
        steps = self._events.of(view) if self.plan.steps else [None] * len(view.streams)
        made = []
        for stream, committed, step in zip(view.streams, view.committed, steps, strict=True):
            place = self._places[stream]
            text = self.texts[place]
            piece = text.feed(committed[: self.plan.rows[place].settings.max_new_tokens])
            if text.stopped:
                self.job.cut(place)
            if piece or step is not None:
                made.append((place, piece, step))
        return made

    def ended(self) -> list[Ended]:
        """The rows of the job when it is over."""
        return self.job.outcome.result()

    def usage(self) -> dict[str, int]:
        """New tokens, and those of the prompts."""
        new = sum(len(one.sample.tokens) + one.sample.finished for one in self.ended())
        told = self.plan.prompt_tokens
        return {"prompt_tokens": told, "completion_tokens": new, "total_tokens": told + new}

    def reasons(self) -> list[str]:
        """Why each choice ended."""
        return [
            "stop" if text.stopped or one.sample.finished else "length"
            for text, one in zip(self.texts, self.ended(), strict=True)
        ]

    def closing(self, place: int) -> str:
        """What closes the code of a choice that the model ended."""
        finished = self.ended()[place].sample.finished and not self.texts[place].stopped
        if not (self.plan.opening and finished):
            return ""
        return FENCE if self.texts[place].text.endswith("\n") else f"\n{FENCE}"


async def whole(answer: Answer) -> dict[str, Any]:
    """The answer in one piece."""
    async for _ in answer.pieces():
        pass
    plan, choices = answer.plan, []
    for place, reason in enumerate(answer.reasons()):
        text = plan.opening + answer.texts[place].text + answer.closing(place)
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if plan.chat else {"text": text}
        choices.append({"index": place, **said, "finish_reason": reason, "logprobs": None})
    kind = "chat.completion" if plan.chat else "text_completion"
    return _head(plan, kind) | {"choices": choices, "usage": answer.usage()}


async def streamed(answer: Answer) -> AsyncIterator[str]:
    """The answer as server-sent events; leaving it early ends the job."""
    plan = answer.plan
    try:
        if plan.chat:
            for place in range(len(plan.rows)):
                yield _chunk(plan, place, plan.opening, first=True)
        async for piece in answer.pieces():
            yield ": still at work\n\n" if piece is None else _chunk(plan, piece[0], piece[1], step=piece[2])
        for place, reason in enumerate(answer.reasons()):
            if closing := answer.closing(place):
                yield _chunk(plan, place, closing)
            yield _chunk(plan, place, "", reason=reason)
        if plan.usage:
            yield event(_head(plan, _chunk_kind(plan)) | {"choices": [], "usage": answer.usage()})
        yield "data: [DONE]\n\n"
    except AgdError as problem:
        yield event(api_error(problem).body())
    finally:
        answer.job.cancel()


def event(data: Mapping[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n"


def _head(plan: Plan, kind: str) -> dict[str, Any]:
    return {"id": plan.identity, "object": kind, "created": plan.created, "model": plan.model}


def _chunk_kind(plan: Plan) -> str:
    return "chat.completion.chunk" if plan.chat else "text_completion"


def _chunk(
    plan: Plan,
    place: int,
    text: str,
    *,
    first: bool = False,
    reason: str | None = None,
    step: Mapping[str, Any] | None = None,
) -> str:
    delta: dict[str, Any] = {"role": "assistant"} if first else {}
    if text or first:
        delta["content"] = text
    said = {"delta": delta} if plan.chat else {"text": text}
    choice = {"index": place, **said, "finish_reason": reason, "logprobs": None}
    more = {"agd": dict(step)} if step is not None else {}
    return event(_head(plan, _chunk_kind(plan)) | {"choices": [choice]} | more)
