"""Repair by tests: `agd fix` beside blind resampling and inverse operators, equal seconds for each; where the fault is.

    python benchmarks/repair.py --quixbugs FILE --mbxp DIR [--seconds 60] [--mutants 40] [--methods fix blind inverse]
                                [--languages python java ...] [--limit 6] [--out RESULT.json]

FILE holds QuixBugs rows (Python and Java), DIR files mbxp_LANGUAGE*.jsonl or .jsonl.gz, of whose right solutions
--mutants a language are made, seeded, that the tests notice; where no row has a solution (Go), those of the examples of
exercism_LANGUAGE*.jsonl or .jsonl.gz. Tests are given, the place is not.
    fix       the repair search
    located   the same with the faulty lines told, and ten programs judged at most
    blind     whole functions from the description and the head, without the faulty body, until the time is up
    inverse   the operators that make mutants, applied to the suspects, until all were tried or the time is up
    suspects  no repair: whether a faulty line is among the first five suspects, with and without the model's doubt
Every finished (fault, method) is noted in a journal beside the result file, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.reading import read
from agentic_diffusion.codegen.repair import repair
from agentic_diffusion.codegen.repair_result import RepairRequest
from agentic_diffusion.codegen.request import GenerationRequest, decode_settings
from agentic_diffusion.evaluation import inverse_search
from agentic_diffusion.evaluation.faults import Fault, of_mutants, of_rows
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.evaluation.loaders import load
from agentic_diffusion.evaluation.tasks import BenchTask
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox, choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.localisation import Suspect, localise, spectrum
from agentic_diffusion.testing.pace import Pace

LANGUAGES = ("python", "javascript", "typescript", "java", "go")
METHODS = ("suspects", "fix", "located", "blind", "inverse")
FIRST = 5
LOCATED = 10
LIMITS = Limits(seconds=10.0)


class Methods:
    """What is measured, by name; each gives a record with `solved`."""

    def __init__(self, coder: Coder, sandbox: Sandbox, seconds: float, seed: int) -> None:
        self.coder, self.sandbox, self.seconds = coder, sandbox, seconds
        self.decode = decode_settings(GenerateSettings(), seed=seed)

    def fix(self, fault: Fault) -> dict[str, Any]:
        """The repair search, the place not told."""
        return self._repaired(RepairRequest(**self._asked(fault)))

    def located(self, fault: Fault) -> dict[str, Any]:
        """The place told, ten programs at most."""
        asked = self._asked(fault) | {"lines": tuple(sorted(fault.lines)), "most": LOCATED, "edits": LOCATED // 2}
        return self._repaired(RepairRequest(**asked))

    def blind(self, fault: Fault) -> dict[str, Any]:
        """Whole functions from the description, the faulty body unseen."""
        words = [fault.text.strip() or "Write this function.", fault.signature.strip()]
        request = GenerationRequest(
            prompt="\n".join(filter(None, words)), suite=fault.suite, language=fault.language, seconds=self.seconds,
            decode=self.decode,
        )  # fmt: skip
        found = generate(request, self.coder, self.sandbox)
        return {"solved": found.verified, "judged": len(found.candidates), "drawn": found.drawn}

    def inverse(self, fault: Fault) -> dict[str, Any]:
        """The operators of mutants."""
        program, judged = inverse_search.search(fault, self.sandbox, LIMITS, seconds=self.seconds)
        return {"solved": program is not None, "judged": judged}

    def suspects(self, fault: Fault) -> dict[str, Any]:
        """Where the fault is looked for; solved is a faulty line among the first five."""
        found = spectrum(fault.suite, fault.program, self.sandbox, LIMITS, pace=Pace(cpu_seconds=1.0, wall_seconds=4.0))
        plain = localise(found)
        lines = [line for suspect in plain for line in (suspect.line, suspect.end)]
        doubts = read(fault.program, self.coder, lines).doubts() if lines else {}
        ranks = [rank(fault, ranked) for ranked in (localise(found, doubts), plain)]
        return {"solved": ranks[0] <= FIRST, "rank": ranks[0], "rank_without_doubt": ranks[1], "suspects": len(plain)}

    def _asked(self, fault: Fault) -> dict[str, Any]:
        return {"program": fault.program, "suite": fault.suite, "seconds": self.seconds, "decode": self.decode}

    def _repaired(self, request: RepairRequest) -> dict[str, Any]:
        found = repair(request, self.coder, self.sandbox)
        kept = ("state", "judged", "holes", "model_seconds", "judge_seconds", "line", "origin")
        told = found.as_json()
        return {"solved": found.state == "repaired", **{name: told[name] for name in kept}}


def rank(fault: Fault, suspects: list[Suspect]) -> int:
    """The place of the first suspect that holds a faulty line, from 1; one behind the last where none does."""
    places = (n for n, s in enumerate(suspects, 1) if fault.lines & set(range(s.line, s.end + 1)))
    return next(places, len(suspects) + FIRST)


def faults(options: argparse.Namespace, sandbox: Sandbox) -> Iterator[Fault]:
    """All faults: the rows, then the mutants language by language."""
    if options.quixbugs is not None:
        tasks = [task for task in load(str(options.quixbugs)).tasks if task.language in options.languages]
        yield from islice(of_rows(tasks, sandbox, LIMITS), options.limit)
    for language in options.languages if options.mbxp is not None else ():
        try:
            made = of_mutants(
                right_solutions(options.mbxp, language), sandbox, LIMITS, count=options.mutants, seed=options.seed
            )
            yield from islice(made, options.limit)
        except AgdError as problem:
            print(f"{language}: {problem}", file=sys.stderr)


def right_solutions(folder: Path, language: str) -> list[BenchTask]:
    """The MBXP tasks that come with a solution; where none does, as in Go, the exercises, which have examples."""
    for name in ("mbxp", "exercism"):
        path = next(iter(sorted(folder.glob(f"{name}_{language}*.jsonl*"))), None)
        found = [task for task in load(str(path)).tasks if task.canonical] if path is not None else []
        if found:
            return found
    print(f"{language}: {folder} has no solutions", file=sys.stderr)
    return []


def measured(fault: Fault, name: str, method: Callable[[Fault], dict[str, Any]]) -> dict[str, Any]:
    """One record."""
    begun = time.monotonic()
    found = method(fault)
    said = {"source": fault.source, "language": fault.language, "method": name, "operator": fault.operator}
    return {**said, "seconds": round(time.monotonic() - begun, 2), **found}


def table(records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Shares by source, language and method."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in records.values():
        for language in (record["language"], "all"):
            groups.setdefault((record["source"], language, record["method"]), []).append(record)
    rows = []
    for (source, language, method), found in sorted(groups.items()):
        solved = sum(record["solved"] for record in found)
        low, high = wilson(solved, len(found))
        rows.append(
            {
                "source": source, "language": language, "method": method, "solved": solved, "faults": len(found),
                "share": solved / len(found), "low": low, "high": high,
                "seconds": sum(record["seconds"] for record in found) / len(found),
                "judged": sum(record.get("judged", 0) for record in found) / len(found),
            }
        )  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quixbugs", type=Path)
    parser.add_argument("--mbxp", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "repair.json")
    options = parser.parse_args()
    if options.quixbugs is None and options.mbxp is None:
        parser.error("give --quixbugs FILE, --mbxp DIR, or both")
    coder, sandbox = Coder.load(ModelSettings()), choose()
    run = {"seconds": options.seconds, "seed": options.seed, "mutants": options.mutants, "weights": coder.weights}
    journal = Journal(options.out.with_name(f"{options.out.name}.journal"), run)
    methods = Methods(coder, sandbox, options.seconds, options.seed)
    for fault in faults(options, sandbox):
        for name in options.methods:
            key = f"{fault.id} {name}"
            if key not in journal.done:
                record = measured(fault, name, getattr(methods, name))
                journal.add(key, record)
                print(f"{key}: {record}", file=sys.stderr, flush=True)
    rows = table(journal.done)
    print("| faults | language | method | solved | 95 % interval | seconds | programs judged |\n" + "|---" * 7 + "|")
    for row in rows:
        print(
            f"| {row['source']} | {row['language']} | {row['method']} | {row['solved']} of {row['faults']}"
            f" ({row['share']:.0%}) | {row['low']:.0%} to {row['high']:.0%} | {row['seconds']:.1f} |"
            f" {row['judged']:.0f} |"
        )
    write_result(options.out, "repair", rows, **run, tier=sandbox.tier, faults=journal.done)
    journal.close()
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
