"""`/v1/completions` with `suffix`: what an editor asks for in the middle of a file.

The hole is filled by `codegen.infill`: answers of several lengths are drawn and ranked by how the suffix goes on from
them, so which one is the best is known only in the end, and a stream has it in one piece.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

from agentic_diffusion.codegen.choice import find
from agentic_diffusion.codegen.hole import Filling, Hole
from agentic_diffusion.codegen.infill import fill
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.serve.completions import decode_settings, event
from agentic_diffusion.serve.errors import ApiError, api_error
from agentic_diffusion.serve.house import HEARTBEAT_SECONDS, House, new_id
from agentic_diffusion.serve.served_coder import Work

CANDIDATES = 4
"""Answers drawn for one filling, unless `{"agd": {"candidates": ...}}` says otherwise."""
_MOST = 32


def filled(values: Mapping[str, Any], house: House, work: Work) -> Awaitable[dict[str, Any]]:
    """The answer, when it is there; ApiError for what cannot be asked for."""
    prompt = values["prompt"]
    if not isinstance(prompt, str):
        raise ApiError(400, "With a suffix the prompt must be one text.", param="prompt", code="invalid_type")
    asked = values["agd"].get("candidates", max(CANDIDATES, values["n"]))
    language = values["agd"].get("language", house.generate.language)
    if not isinstance(asked, int) or not 1 <= asked <= _MOST or not isinstance(language, str):
        raise ApiError(400, f"agd.candidates is a number from 1 to {_MOST}, agd.language a name.", param="agd")
    hole = Hole(prefix=prompt, suffix=values["suffix"], language=find(language).name)
    longest = min(values["max_tokens"], house.coder.engine.settings.tokens // 3)
    settings = decode_settings(values, house, stops=(), longest=longest)

    def search() -> list[Filling]:
        return fill(
            hole, house.coder, candidates=max(asked, values["n"]), settings=settings, seed=settings.seed >> 1,
            stop=work.budget.exhausted,
        )  # fmt: skip

    async def answer() -> dict[str, Any]:
        found = await house.search(work, search)
        return _answer(values, house, found)

    return answer()


def _answer(values: Mapping[str, Any], house: House, found: list[Filling]) -> dict[str, Any]:
    """The best fillings as choices; an empty one where the model had nothing to say."""
    best = found[: values["n"]]
    choices = []
    for place in range(values["n"]):
        text = best[place].text if place < len(best) else ""
        ends = [text.find(stop) for stop in values["stop"] if stop and stop in text]
        shown = text[: min(ends)] if ends else text
        choices.append({"index": place, "text": shown, "finish_reason": "stop", "logprobs": None})
    tokenizer = house.coder.tokenizer
    told = len(tokenizer.encode(values["prompt"])) + len(tokenizer.encode(values["suffix"]))
    new = sum(one.tokens for one in best)
    usage = {"prompt_tokens": told, "completion_tokens": new, "total_tokens": told + new}
    head = {"id": new_id("agd"), "object": "text_completion", "created": int(time.time()), "model": house.name}
    return {**head, "choices": choices, "usage": usage}


async def streamed(call: Awaitable[dict[str, Any]], values: Mapping[str, Any], work: Work) -> AsyncIterator[str]:
    """The answer as server-sent events."""
    task = asyncio.ensure_future(call)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=HEARTBEAT_SECONDS)
            if not task.done():
                yield ": still at work\n\n"
        whole = task.result()
        head = {key: whole[key] for key in ("id", "object", "created", "model")}
        for choice in whole["choices"]:
            yield event(head | {"choices": [choice]})
        if values["stream_options"].get("include_usage"):
            yield event(head | {"choices": [], "usage": whole["usage"]})
        yield "data: [DONE]\n\n"
    except AgdError as problem:
        yield event(api_error(problem).body())
    finally:
        work.cancel()
