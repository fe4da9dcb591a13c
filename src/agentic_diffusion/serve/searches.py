"""`/v1/agd/...`: generate, infill, fix, test, plan, recall; the same functions serve the tools of MCP.

A search runs in a thread of its own, its forwards in the engine, its tests in the sandbox. It tells `tell` what happens
on the way: {"type": "opening" | "step" | "candidate"}. What it gives back is what `--json` of the command prints.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentic_diffusion.codegen.choice import find, named_in
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.infill_search import InfillRequest, infill
from agentic_diffusion.codegen.repair import repair
from agentic_diffusion.codegen.repair_result import RepairRequest
from agentic_diffusion.codegen.request import GenerationRequest, build_prompt
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.serve.completions import decode_settings
from agentic_diffusion.serve.fields import Field, Fields
from agentic_diffusion.serve.house import House
from agentic_diffusion.serve.served_coder import Work
from agentic_diffusion.serve.steps import StepEvents
from agentic_diffusion.testing.execution import confirm, judge, suite_is_vacuous
from agentic_diffusion.testing.suite import Suite, combine, inline_suite, load_suite, make_suite
from agentic_diffusion.testing.verdicts import summary

if TYPE_CHECKING:
    from agentic_diffusion.codegen.repair_result import Tried
    from agentic_diffusion.codegen.result import Candidate
    from agentic_diffusion.diffusion.block_state import StepView

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Call:
    """One piece of work."""

    values: Mapping[str, Any]
    """The checked fields."""
    house: House
    """The server's inside."""
    work: Work
    """Whose it is, and how long it may take."""
    tell: Tell
    """Hears what happens on the way."""


_LEAST_SECONDS = 0.1
_TESTS: Fields = {
    "tests": Field(kind="string", text="Tests: assertions or test functions of the language."),
    "test": Field(kind="strings", most=100, default=[], text='Single tests, such as "assert f(1) == 2".'),
    "tests_file": Field(kind="string", text="A test file below the server's folder."),
    "language": Field(kind="string", text="The language; left out, the prompt or the server's settings tell it."),
}
_SEARCH: Fields = {
    "candidates": Field(kind="integer", least=1, most=256, text="Most candidates; left out, as the time allows."),
    "seconds": Field(kind="number", least=_LEAST_SECONDS, most=86_400, text="Time of the search."),
    "seed": Field(kind="integer", least=0, most=2**63 - 1, text="Seed; left out, another one each time."),
    "temperature": Field(kind="number", least=0, most=2, text="Of all candidates after the first, greedy one."),
    "top_p": Field(kind="number", least=0, most=1, text="The nucleus."),
    "threshold": Field(kind="number", least=0, most=1, text="Confidence from which tokens are committed together."),
    "mode": Field(kind="string", choices=("denoise", "verify", "ar"), text="Who commits tokens."),
    "max_tokens": Field(kind="integer", least=1, most=1 << 20, text="Longest answer in tokens."),
    "constraint": Field(kind="boolean", default=True, text="Whether the grammar holds what is written."),
    "stream": Field(kind="boolean", default=False, text="Whether steps and candidates are sent as they come."),
}
GENERATE: Fields = {"prompt": Field(kind="string", required=True, text="What to write.")} | _TESTS | _SEARCH
INFILL: Fields = {
    "prefix": Field(kind="string", required=True, text="The program before the hole."),
    "suffix": Field(kind="string", default="", text="The program behind it."),
    "note": Field(kind="string", default="", text="What shall stand there, in words."),
    "lines": Field(kind="integer", least=1, most=64, default=8, text="Lines of a filling at most."),
} | _TESTS | _SEARCH  # fmt: skip
FIX: Fields = {"program": Field(kind="string", required=True, text="The program that fails.")} | _TESTS | _SEARCH
TEST: Fields = {"program": Field(kind="string", required=True, text="The program to be judged.")} | _TESTS
RECALL: Fields = {
    "query": Field(kind="string", required=True, text="Words of the task."),
    "limit": Field(kind="integer", least=1, most=50, default=5, text="Programs at most."),
}


def run_generate(call: Call) -> dict[str, Any]:
    """A prompt and its tests in, a program out; verified where it passed them twice."""
    values, house, tell = call.values, call.house, call.tell
    language = find(values["language"]) if values["language"] else named_in(values["prompt"])
    language = language or find(house.generate.language)
    suite = _suite(values, house, language.name)
    request = GenerationRequest(
        prompt=values["prompt"],
        suite=suite,
        language=language.name,
        batch=min(house.generate.samples, house.coder.engine.settings.rows),
        candidates=values["candidates"],
        seconds=max(call.work.budget.remaining(), _LEAST_SECONDS),
        decode=_decode(values, house),
        constraint=values["constraint"],
        case_seconds=house.limits.seconds,
        memory_bytes=house.limits.memory_bytes,
    )
    tell({"type": "opening", "text": build_prompt(request, language, house.coder.tokenizer).opening})

    def report(candidate: Candidate) -> None:
        tell({"type": "candidate", **candidate.as_json()})

    sandbox = house.sandbox if suite is not None else None
    result = generate(request, house.coder, sandbox, observe=_observer(house, tell), report=report)
    if result.verified:
        house.history.remember(request.prompt, result.program, result.weights)
    return _kept(house, "serve generate", {"prompt": request.prompt, "language": language.name}, result.as_json())


def run_infill(call: Call) -> dict[str, Any]:
    """A hole between prefix and suffix is filled; with tests, by what passes them."""
    values, house = call.values, call.house
    language = find(values["language"] or house.generate.language)
    suite = _suite(values, house, language.name)
    prefix, suffix = values["prefix"], values["suffix"]
    place = (len(prefix), len(prefix))
    request = InfillRequest(
        document=Document(text=prefix + suffix, bom=False, origin="request", holes=(place,)),
        language=language.name,
        note=values["note"],
        suite=suite,
        candidates=values["candidates"],
        seconds=max(call.work.budget.remaining(), _LEAST_SECONDS),
        longest_lines=values["lines"],
        decode=_decode(values, house),
        constraint=values["constraint"],
        case_seconds=house.limits.seconds,
        memory_bytes=house.limits.memory_bytes,
    )
    call.tell({"type": "opening", "text": ""})
    sandbox = house.sandbox if suite is not None else None
    result = infill(request, house.coder, sandbox, observe=_observer(house, call.tell))
    told = result.as_json()
    told["filling"] = result.best.fillings[0].text if result.best is not None else ""
    return _kept(house, "serve infill", {"prompt": prefix[-200:], "language": language.name}, told)


def run_fix(call: Call) -> dict[str, Any]:
    """A program that fails its tests is repaired; the answer has the diff."""
    values, house, tell = call.values, call.house, call.tell
    language = find(values["language"] or house.generate.language)
    suite = _needed(_suite(values, house, language.name))
    request = RepairRequest(
        program=values["program"].replace("\r\n", "\n"),
        suite=suite,
        seconds=max(call.work.budget.remaining(), _LEAST_SECONDS),
        candidates=min(values["candidates"] or 4, 16),
        decode=_decode(values, house),
        case_seconds=house.limits.seconds,
        memory_bytes=house.limits.memory_bytes,
    )

    def report(tried: Tried) -> None:
        shown = {"program": tried.proposal.program, "origin": tried.proposal.origin, "line": tried.proposal.line}
        tell({"type": "candidate", **shown, **summary(tried.verdict)})

    result = repair(request, house.coder, house.sandbox, report=report)
    ending = language.endings[0]
    told = {**result.as_json(), "diff": result.diff(f"program{ending}")}
    return _kept(house, "serve fix", {"prompt": request.program[:200], "language": language.name}, told)


def run_tests(call: Call) -> dict[str, Any]:
    """A program is judged by its tests in the sandbox."""
    values, house = call.values, call.house
    language = find(values["language"] or house.generate.language)
    suite = _needed(_suite(values, house, language.name))
    limits = _limits(house)
    verdict = judge(suite, [values["program"]], house.sandbox, limits)[0]
    if verdict.ok:
        verdict = confirm(suite, values["program"], house.sandbox, limits)
    cases = [
        {"name": outcome.case.name, "status": outcome.status, "message": outcome.message, "line": outcome.line}
        for outcome in verdict.outcomes
    ]
    return {**summary(verdict), "cases": cases, "sandbox": house.sandbox.tier}


def run_recall(call: Call) -> dict[str, Any]:
    """Verified programs of earlier runs whose task has words of the query, the most alike first."""
    values, house = call.values, call.house
    wanted = _words(values["query"])
    if not wanted:
        raise UsageError("The query has no word.", hint="name what the program shall do.")
    found = []
    for sample in house.history.programs():
        words = _words(sample.task)
        shared = len(wanted & words)
        if shared:
            found.append((shared / len(wanted | words), sample))
    found.sort(key=lambda pair: (-pair[0], -pair[1].reward, pair[1].id))
    return {
        "programs": [
            {"task": sample.task, "program": sample.content, "likeness": round(alike, 3), "reward": sample.reward}
            for alike, sample in found[: values["limit"]]
        ]
    }


def _suite(values: Mapping[str, Any], house: House, language: str) -> Suite | None:
    """All tests of a request as one suite; UsageError for tests that prove nothing."""
    suites = []
    if values["tests"]:
        suites.append(make_suite(values["tests"], origin="tests", language=language))
    if values["tests_file"]:
        suites.append(load_suite(house.file(values["tests_file"])))
    if values["test"]:
        suites.append(inline_suite(values["test"], language=language))
    if not suites:
        return None
    suite = combine(suites)
    if suite_is_vacuous(suite, house.sandbox, _limits(house)):
        raise UsageError(
            "The tests pass for functions that do nothing, so passing them would prove nothing.",
            hint="assert the results that you expect.",
        )
    return suite


def _needed(suite: Suite | None) -> Suite:
    if suite is None:
        raise UsageError("There are no tests.", hint="give tests, test or tests_file.")
    return suite


def _limits(house: House) -> Limits:
    return Limits(seconds=house.limits.seconds, memory_bytes=house.limits.memory_bytes)


def _decode(values: Mapping[str, Any], house: House) -> Any:
    """How candidates are denoised."""
    longest = values["max_tokens"] or house.generate.max_new_tokens
    made = decode_settings(values, house, stops=(), longest=longest)
    # The seeds of rounds are counted up from this one.
    return replace(made, seed=made.seed if values["seed"] is not None else secrets.randbelow(1 << 32))


def _observer(house: House, tell: Tell) -> Callable[[StepView], None]:
    """Steps of all rows as events."""
    events = StepEvents(house.coder.tokenizer)

    def observe(view: StepView) -> None:
        tell({"type": "step", "rows": events.of(view)})

    return observe


def _kept(house: House, kind: str, asked: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """The answer, recorded."""
    house.history.keep(kind, asked, told)
    return told


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{2,}", text.lower()))
