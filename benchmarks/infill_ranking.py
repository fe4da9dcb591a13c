"""How fillings are ranked: how often the line that was taken out comes before others, by the weight of the suffix.

    python benchmarks/infill_ranking.py --file mbpp_train.jsonl.gz [--holes 40] [--weights 0 0.5 1 2 4]

FILE holds MBPP rows (`text`, `code`) that nothing is measured on. One line of the body of every program is taken out;
it is ranked among versions of it with one operator or number changed, itself with the next line as well (one line too
many), `pass`, and other lines of the program. No filling is generated: the parent scores all of them, once. A weight
multiplies the suffix's mean log-probability, the filling's has weight 1. Reported are the share of holes where the
original comes first, and the mean reciprocal rank.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill_ranking import Terms, terms
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.settings import ModelSettings

CHANGES = (
    ("+", "-"), ("-", "+"), ("<", ">"), (">", "<"), ("==", "!="), ("*", "+"), ("0", "1"), ("1", "0"), ("1", "2"),
    (" in ", " not in "), ("[i]", "[i+1]"), ("and", "or"), ("max", "min"), ("min", "max"),
)  # fmt: skip
LONGEST = 600
"""Characters of a program at most."""


def changed(line: str) -> list[str]:
    """The line with one operator, number or word changed."""
    return [
        line[: found.start()] + new + line[found.end() :]
        for old, new in CHANGES
        for found in re.finditer(re.escape(old), line)
    ]


def hole_of(row: dict[str, Any], draw: random.Random) -> tuple[Hole, list[str]] | None:
    """A hole and what may stand in it, the original first; None for a program that is too short or too long."""
    code = row["code"].replace("\r\n", "\n").replace("\r", "\n").rstrip()
    lines = [line.rstrip() for line in code.split("\n")]
    body = [n for n, line in enumerate(lines) if n and line[:1] in (" ", "\t") and line.strip()]
    if len(body) < 3 or len(code) > LONGEST:
        return None
    number = draw.choice(body[:-1])
    line, following = lines[number], lines[number + 1]
    indent = line[: len(line) - len(line.lstrip())]
    versions = changed(line)
    others = [f"{indent}{other.strip()}" for n, other in enumerate(lines) if n and n != number and other.strip()]
    texts = [
        line,
        *draw.sample(versions, min(3, len(versions))),
        f"{line}\n{following if following.strip() else f'{indent}pass'}",
        f"{indent}pass",
        *draw.sample(others, min(2, len(others))),
    ]
    head = f"# {' '.join(row['text'].split())}\n"
    prefix, suffix = "\n".join(lines[:number]) + "\n", "\n" + "\n".join(lines[number + 1 :]) + "\n"
    return Hole(prefix=head + prefix, suffix=suffix, language="python"), list(dict.fromkeys(texts))


def rank(said: list[Terms], weight: float) -> int:
    """Rank of the first one, from 1."""
    scores = [term.filling + weight * term.suffix for term in said]
    return 1 + sum(score > scores[0] for score in scores[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--holes", type=int, default=40)
    parser.add_argument("--weights", nargs="+", type=float, default=[0, 0.5, 1, 1.5, 2, 3, 4, 6])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "infill_ranking.json")
    options = parser.parse_args()
    data = gzip.decompress(options.file.read_bytes()) if options.file.suffix == ".gz" else options.file.read_bytes()
    rows = [json.loads(line) for line in data.splitlines() if line.strip()]
    random.Random(derive(options.seed, "rows")).shuffle(rows)
    coder = Coder.load(ModelSettings(), adapter=None)
    run = {"file": options.file.name, "seed": options.seed, "weights": coder.weights}
    journal = Journal(options.out.with_suffix(".journal"), run)
    found = 0
    for row in rows:
        if found == options.holes:
            break
        name = str(row["task_id"])
        made = hole_of(row, random.Random(derive(options.seed, "hole", name)))
        if made is None:
            continue
        found += 1
        if name not in journal.done:
            said = terms(made[0], made[1], coder)
            journal.add(name, {"texts": made[1], "terms": [[term.filling, term.suffix] for term in said]})
            print(f"{found} holes", file=sys.stderr, flush=True)
    holes = [[Terms(*pair) for pair in record["terms"]] for record in journal.done.values()]
    table = []
    print("| weight of the suffix | the original first | mean reciprocal rank |\n|---|---|---|")
    for weight in options.weights:
        ranks = [rank(said, weight) for said in holes]
        first, reciprocal = sum(place == 1 for place in ranks), sum(1 / place for place in ranks) / len(ranks)
        low, high = wilson(first, len(ranks))
        table.append(
            {"weight": weight, "first": first, "of": len(ranks), "interval": [low, high], "reciprocal_rank": reciprocal}
        )
        print(f"| {weight:g} | {first} of {len(ranks)} ({low:.0%} to {high:.0%}) | {reciprocal:.3f} |")
    write_result(options.out, "infill_ranking", table, **run)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
