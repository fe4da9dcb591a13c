"""The end of a training of the block adapter as figures: from the log beside the adapter to a result file.

    python benchmarks/adapter_training.py LOG.jsonl ADAPTER.safetensors --command "python runs/train_adapter.py ..."

Writes `benchmarks/results/adapter_training.json`, or --out. A resumed training has several log lines for some steps:
the last one of each counts, and the seconds of every stretch are added.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

from results import ROOT, write_result


def summary(lines: list[dict[str, Any]], window: int) -> dict[str, object]:
    """Steps, targets and minutes of the whole training; loss and hits as means over the last `window` steps."""
    steps = list({line["step"]: line for line in lines}.values())
    last = steps[-window:]
    targets = sum(line["targets"] for line in last)
    ends = [old["seconds"] for old, new in itertools.pairwise(lines) if new["seconds"] < old["seconds"]]
    blocks = max(1.0, sum(line["blocks"] for line in last))
    places = sorted((name for name in last[0] if name.startswith("hits_")), key=lambda name: int(name[5:]))
    return {
        "steps": steps[-1]["step"],
        "targets": int(sum(line["targets"] for line in steps)),
        "minutes": (sum(ends) + lines[-1]["seconds"]) / 60,
        "window": len(last),
        "cross_entropy": sum(line["cross_entropy"] * line["targets"] for line in last) / targets,
        "divergence": sum(line["divergence"] * line["targets"] for line in last) / targets,
        "hits": [sum(line[name] for line in last) / blocks for name in places],
    }


def main() -> int:
    """Write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--command", required=True, help="what was run, with folders left out")
    parser.add_argument("--window", type=int, default=50, help="steps that the means are taken over")
    default = ROOT / "benchmarks" / "results" / "adapter_training.json"
    parser.add_argument("--out", type=Path, default=default, help="result file; default: the committed one")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.log.read_text(encoding="utf-8").splitlines()]
    fields = summary(lines, options.window) | {"file_bytes": options.adapter.stat().st_size}
    write_result(options.out, "adapter_training", [fields], command=options.command)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
