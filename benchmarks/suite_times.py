"""What takes how long in `./agd dev test`: from the files that its last whole run left in `.agd/test/`.

    ./agd dev test && .agd/venv/bin/python benchmarks/suite_times.py

Writes `benchmarks/results/suite_times.json`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from results import write_result

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".agd" / "test"


def parts(junit: Path) -> list[dict[str, object]]:
    """Tests and seconds of each folder of `tests/`, the slowest first; files at the top count as one part."""
    seconds: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for case in ET.parse(junit).getroot().iter("testcase"):
        words = case.get("classname", "").split(".")
        part = f"tests/{words[1]}" if len(words) > 2 and not words[1].startswith("test_") else "tests"
        seconds[part] += float(case.get("time", "0"))
        count[part] += 1
    return [{"part": part, "tests": count[part], "seconds": round(spent, 1)} for part, spent in seconds.most_common()]


def coverage() -> float:
    """Percent of the package's lines that the run covered."""
    environment = os.environ | {"COVERAGE_FILE": str(FOLDER / "coverage")}
    words = [sys.executable, "-m", "coverage", "report", "--format=total", "--precision=1", "--fail-under=0"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Write the result file."""
    junit = FOLDER / "junit.xml"
    if not junit.is_file():
        sys.stderr.write(f"{junit} is not there.\nhint: run ./agd dev test first.\n")
        return 4
    suite = next(ET.parse(junit).getroot().iter("testsuite"))
    write_result(
        ROOT / "benchmarks" / "results" / "suite_times.json",
        "suite_times",
        parts(junit),
        total_seconds=float(suite.get("time", "0")),
        coverage_percent=coverage(),
        command="./agd dev test",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
