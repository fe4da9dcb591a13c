"""Single-line holes in Python solutions: how often the first suggestion passes the tests, the length not told.

    python benchmarks/infill.py --file mbpp_011_260.jsonl.gz [--systems ours one_line left oracle] [--limit 20]

FILE holds MBPP rows (`text`, `code`, `test_list`, `test_setup_code`), plain or gzip'd. One line of the body of every
solution is taken out, indentation included; which one, the seed decides, among those that the tests miss when `pass`
stands in their place. The statement stands above the program as a comment, as the doc string does in other benchmarks.

    ours        `codegen.infill.fill`: prefix and suffix in view, ends tried and ranked; up to --lines lines
    one_line    the same, told that the hole is one line
    left        the parent alone, one token a forward: suffix out of view and not scored, ends at its line's end
    oracle      as one_line, and told the number of tokens

All draw the same number of candidates, the first one greedily. pass@1 is the first suggestion of each system: tests
judge and choose nothing. "any" is whether one of all suggestions passes. A journal beside the result keeps finished
holes, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill import LONGEST_LINES, fill
from agentic_diffusion.codegen.infill_prompt import LeftContext, healed
from agentic_diffusion.codegen.infill_ranking import Ranking
from agentic_diffusion.codegen.request import decode_settings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.sandbox import Limits, Sandbox, choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import Suite, make_suite

SYSTEMS = ("ours", "one_line", "left", "oracle")
LIMITS = Limits(seconds=10.0)


def read(path: Path) -> list[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def suite_of(row: dict[str, Any]) -> Suite:
    setup = row.get("test_setup_code") or ""
    source = "\n".join([*([setup] if setup.strip() else []), *row["test_list"]]) + "\n"
    return make_suite(source.replace("\r\n", "\n"), origin=f"MBPP/{row['task_id']}")


def lines_of(row: dict[str, Any]) -> list[str]:
    """The statement as a comment, then the solution."""
    code = row["code"].replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return [f"# {' '.join(row['text'].split())}", *(line.rstrip() for line in code.split("\n"))]


def choose_hole(row: dict[str, Any], suite: Suite, sandbox: Sandbox, seed: int) -> tuple[Hole, str] | None:
    """A hole and what stood in it; None where the solution fails, or the tests miss no line of it."""
    lines = lines_of(row)
    body = [
        number
        for number, line in enumerate(lines)
        if line[:1] in (" ", "\t") and line.strip() and not line.lstrip().startswith(("#", '"""', "'''"))
    ]
    order = random.Random(derive(seed, "hole", row["task_id"])).sample(body, len(body))
    programs = ["\n".join(lines) + "\n"]
    for number in order:
        indent = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
        programs.append("\n".join([*lines[:number], f"{indent}pass", *lines[number + 1 :]]) + "\n")
    whole, *without = judge(suite, programs, sandbox, LIMITS, seed=0)
    missed = next((n for n, verdict in zip(order, without, strict=True) if not verdict.ok), None)
    if not whole.ok or missed is None:
        return None
    suffix = "\n" + "\n".join(lines[missed + 1 :]) + "\n" if missed + 1 < len(lines) else "\n"
    return Hole(prefix="\n".join(lines[:missed]) + "\n", suffix=suffix, language="python"), lines[missed]


def suggest(system: str, hole: Hole, truth: str, coder: Coder, options: argparse.Namespace) -> list[str]:
    """The suggestions of a system, the first one first."""
    chosen = GenerateSettings(mode="ar", block=1) if system == "left" else GenerateSettings(mode=options.mode)
    more: dict[str, Any] = {}
    if system == "left":
        more = {"form": LeftContext(), "ranking": Ranking(filling=1.0, suffix=0.0, own=0.0)}
    if system == "oracle":
        forced = healed(hole.prefix, coder.tokenizer)[1]
        written, given = (len(coder.tokenizer.encode(text)) for text in (forced + truth, forced))
        more = {"length": max(1, written - given)}
    found = fill(
        hole,
        coder,
        candidates=options.candidates,
        settings=decode_settings(chosen, seed=options.seed),
        seed=options.seed,
        longest_lines=options.lines if system == "ours" else 1,
        **more,
    )
    return [filling.text for filling in found]


def measure(row: dict[str, Any], coder: Coder, sandbox: Sandbox, options: argparse.Namespace) -> dict[str, Any] | None:
    """What all systems make of one hole; None where the row gives none."""
    suite = suite_of(row)
    picked = choose_hole(row, suite, sandbox, options.seed)
    if picked is None:
        return None
    hole, truth = picked
    parses = languages.get("python").parse_error
    record: dict[str, Any] = {"truth": truth, "tokens": len(coder.tokenizer.encode(truth))}
    for system in options.systems:
        begun = time.monotonic()
        texts = suggest(system, hole, truth, coder, options)
        seconds = time.monotonic() - begun
        verdicts = judge(suite, [hole.filled(text) for text in texts], sandbox, LIMITS, seed=0) if texts else []
        record[system] = {
            "first": bool(verdicts) and verdicts[0].ok,
            "any": any(verdict.ok for verdict in verdicts),
            "exact": bool(texts) and texts[0].strip() == truth.strip(),
            "offered": any(text.strip() == truth.strip() for text in texts),
            "parses": bool(texts) and parses(hole.filled(texts[0])) is None,
            "suggestions": len(texts),
            "seconds": round(seconds, 2),
            "text": texts[0] if texts else "",
        }
    return record


def summary(system: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [record[system] for record in records]
    made: dict[str, Any] = {"system": system, "holes": len(mine)}
    for name in ("first", "any", "exact", "offered", "parses"):
        right = sum(record[name] for record in mine)
        low, high = wilson(right, len(mine))
        made[name] = {"right": right, "share": right / len(mine), "low": low, "high": high}
    made["seconds_a_hole"] = round(sum(record["seconds"] for record in mine) / len(mine), 2)
    return made


def as_line(row: dict[str, Any]) -> str:
    shares = (f"{row[n]['share']:.1%} ({row[n]['low']:.1%} to {row[n]['high']:.1%})" for n in ("first", "any", "exact"))
    return f"| {row['system']} | {row['holes']} | {' | '.join(shares)} | {row['seconds_a_hole']} |"


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--candidates", type=int, default=8, help="answers drawn by every system")
    parser.add_argument("--lines", type=int, default=LONGEST_LINES, help="lines of a filling of `ours` at most")
    parser.add_argument("--mode", default="denoise", choices=("denoise", "verify", "ar"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="rows that are looked at")
    parser.add_argument("--model", default="default", help="another model than the default one, or a folder")
    parser.add_argument("--adapter", type=Path, help="another adapter than the one that ships")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "infill.json")
    return parser.parse_args()


def main() -> int:
    options = options_of()
    rows = read(options.file)[: options.limit]
    settings = ModelSettings(name=options.model, adapter=str(options.adapter or ""))
    coder = Coder.load(settings)
    run = {
        "file": options.file.name, "rows": len(rows), "candidates": options.candidates, "lines": options.lines,
        "mode": options.mode, "seed": options.seed, "systems": options.systems, "weights": coder.weights,
    }  # fmt: skip
    journal = Journal(options.out.with_suffix(".journal"), run)
    sandbox = choose()
    for row in rows:
        name = str(row["task_id"])
        if name not in journal.done:
            record = measure(row, coder, sandbox, options)
            journal.add(name, {"left_out": True} if record is None else record)
            print(f"{name}: {json.dumps(journal.done[name])}", file=sys.stderr, flush=True)
    records = [record for record in journal.done.values() if not record.get("left_out")]
    if not records:
        print("no row gave a hole", file=sys.stderr)
        return 1
    table = [summary(system, records) for system in options.systems]
    print(
        "| system | holes | pass@1 | any passes | first is the original | seconds a hole |\n|---|---|---|---|---|---|"
    )
    print("\n".join(map(as_line, table)))
    write_result(options.out, "infill", table, **run, left_out=len(rows) - len(records), holes=journal.done)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
