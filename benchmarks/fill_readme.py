"""Fill the tables of README and docs from `benchmarks/results/*.json`, so that no figure is typed by hand.

    python benchmarks/fill_readme.py            rewrite every block
    python benchmarks/fill_readme.py --check    exit 1 if a block is empty or differs from its file; change nothing

A block is `<!-- figures:NAME -->` ... `<!-- /figures -->`; NAME is one of `TABLES`, its file `results/NAME.json`
(`setup_sizes` is read from the installer's manifest instead). Standard library only, beside the package itself.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from agentic_diffusion.foundation.resources import atomic_write, format_size
from agentic_diffusion.installer import manifest as manifests
from agentic_diffusion.installer.manifest import WheelSource

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- figures:(?P<name>[a-z_]+) -->\n)(?P<body>.*?)(<!-- /figures -->)", re.DOTALL)


class ResultError(Exception):
    """A result file is missing or lacks a field; the message is a sentence."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def setup_sizes(_data: dict[str, Any]) -> str:
    """What set-up fetches, from the manifest that the installer itself reads."""
    manifest = manifests.load()
    sizes, entry = manifest.sizes, manifest.model()
    wheel = next(source for source in entry.sources if isinstance(source, WheelSource))
    rows = [
        ("uv, the package tool (only where it is missing)", sizes["uv"].fetch, sizes["uv"].disk),
        ("Python packages as locked", sizes["environment"].fetch, sizes["environment"].disk),
        ("torch, CPU build", sizes["torch-cpu"].fetch, sizes["torch-cpu"].disk),
        ("bubblewrap, the sandbox (only where it is missing)", sizes["bubblewrap"].fetch, sizes["bubblewrap"].disk),
        (f"model {entry.name} ({entry.licence})", wheel.wheel.size, entry.disk),
    ]
    rows.append(("together", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return table(("what", "to fetch", "on the disk"), [(name, format_size(a), format_size(b)) for name, a, b in rows])


def first_run(data: dict[str, Any]) -> str:
    """Seconds by step, seconds of a second start, bytes by place."""
    rows = [(row["step"], f"{row['seconds']:.1f} s") for row in data["rows"]]
    rows.append(("**first run in all**", f"**{data['total_seconds']:.0f} s**"))
    rows.append(("a second start adds", f"{data['warm_seconds']:.2f} s"))
    rows += [(f"disk: {place}", format_size(size)) for place, size in data["disk_bytes"].items()]
    return table(("step", "cost"), rows)


def main_job(data: dict[str, Any]) -> str:
    """How many of the prompts were verified within their budget, by mode."""
    rows = []
    for row in data["rows"]:
        low, high = row["interval"]
        median = row["median_seconds_verified"]
        rows.append(
            (
                f"`{row['mode']}`",
                f"{row['verified']} of {row['of']} ({low:.0%} to {high:.0%})",
                f"{row['first_candidate']} / {row['after_remasking']}",
                "-" if median is None else f"{median:.1f} s",
                f"{row['tokens_per_forward']:.2f}",
                f"{row['tokens_per_second']:.0f}",
            )
        )
    head = (
        "mode",
        f"verified within {data['budget_seconds']:g} s (95 % interval)",
        "by the first candidate / after remasking",
        "median time of the verified",
        "tokens a forward",
        "new tokens/s",
    )
    return table(head, rows)


def adapter(data: dict[str, Any]) -> str:
    """Tokens a forward, agreement with the parent and passing share of each mode, with its interval."""
    rows = []
    for row in data["rows"]:
        low, high = row["interval"]
        same = "-" if row["same_text"] is None else f"{row['same_text']} of {row['rows']}"
        rows.append(
            (
                f"`{row['mode']}`",
                f"{row['tokens_per_forward']:.2f}",
                f"{row['tokens_per_second']:.0f}",
                f"{row['token_agreement']:.1%}",
                same,
                f"{row['passed']} of {row['rows']} ({low:.1%} to {high:.1%})",
            )
        )
    head = (
        "mode",
        "tokens a forward",
        "new tokens/s",
        "tokens that the parent would choose",
        "same text as `ar`",
        "passed (95 % interval)",
    )
    return table(head, rows)


def adapter_training(data: dict[str, Any]) -> str:
    """Length of the training, loss at its end, hits at each offset of a wholly masked block."""
    (row,) = data["rows"]
    hits = " / ".join(f"{share:.2f}" for share in row["hits"])
    rows = [
        ("steps", str(row["steps"])),
        ("masked targets seen", f"{row['targets']:,}"),
        ("wall-clock time", f"{row['minutes']:.0f} minutes"),
        (f"cross-entropy, mean of the last {row['window']} steps", f"{row['cross_entropy']:.2f} nats a target"),
        (f"divergence to the parent, same {row['window']} steps", f"{row['divergence']:.2f} nats a target"),
        (f"top-1 hits at offsets 0 to {len(row['hits']) - 1} of a wholly masked block", hits),
        ("file", format_size(row["file_bytes"])),
    ]
    return table(("", "value"), rows)


def batch_invariance(data: dict[str, Any]) -> str:
    """How many texts are equal in a batch of one and of eight, in float32, sampled."""
    (row,) = data["rows"]
    rows = [
        ("texts equal in batches of 1 and of 8", f"{row['equal']} of {row['texts']}"),
        ("largest difference of logits", f"{row['largest_logit_difference']:.1e}"),
    ]
    return table(("in float32, temperature 0.7", "value"), rows)


def conversion(data: dict[str, Any]) -> str:
    """What the converted model gives beside other readers of the same file."""
    rows = [(row["check"], row["reader"], str(row["result"]), "yes" if row["ok"] else "**no**") for row in data["rows"]]
    return table(("check", "reader", "result", "as claimed"), rows)


def sandbox(data: dict[str, Any]) -> str:
    """Candidates a second by tier and way, beside a plain process for each."""
    rows = [
        (
            row["way"],
            f"{row['per_second']:.0f}",
            f"{row['wall_milliseconds']:.1f} ms",
            f"{row['cpu_milliseconds']:.1f} ms",
        )
        for row in data["rows"]
    ]
    return table(("way", "candidates/s", "wall time each", "processor time each"), rows)


def suite_times(data: dict[str, Any]) -> str:
    """What takes how long in the test command."""
    rows = [(row["part"], str(row["tests"]), f"{row['seconds']:.0f} s") for row in data["rows"]]
    rows.append(("**all**", f"**{sum(row['tests'] for row in data['rows'])}**", f"**{data['total_seconds']:.0f} s**"))
    return table(("part", "tests", "time"), rows) + f"\nCoverage of the package: {data['coverage_percent']:.1f} %.\n"


def main_command(data: dict[str, Any]) -> str:
    """The main job as a terminal shows it."""
    (row,) = data["rows"]
    said, program = row["stderr"].rstrip("\n"), row["stdout"].rstrip("\n")
    return f"On stdout:\n\n```text\n{program}\n```\n\nOn stderr:\n\n```text\n{said}\n```\n"


def maze(data: dict[str, Any]) -> str:
    """Strict returns a maze with standard errors, beside what papers report and what needs no denoiser."""
    rows = [
        (f"{name} (published)", *(f"{value:.1f}" for value in scores), f"{sum(scores) / 3:.1f}", "", "")
        for name, scores in data["published"].items()
        if len(scores) == 3
    ]
    for row in data["rows"]:
        if "average" not in row:
            continue
        mazes = [row[name] for name in ("umaze", "medium", "large")]
        cells = [f"{one['strict']['mean']:.1f} ± {one['strict']['error']:.1f}" for one in mazes]
        average = row["average"]["strict"]
        success = sum(one["success"] for one in mazes) / len(mazes)
        seconds = mazes[-1].get("seconds_a_plan")
        rows.append(
            (
                row["what"],
                *cells,
                f"**{average['mean']:.1f} ± {average['error']:.1f}**",
                f"{success:.0%}",
                "" if seconds is None else f"{seconds:.3f} s",
            )
        )
    oracle = data["oracle"]
    rows.append(("oracle", *(f"{oracle[name]:.1f}" for name in ("umaze", "medium", "large", "average")), "", ""))
    head = ("strict return", "umaze", "medium", "large", "average", "reached", "a plan, large, in a batch")
    return table(head, rows) + _maze_extras(data["rows"])


def _maze_extras(rows: list[dict[str, Any]]) -> str:
    """Gold, unseen layouts, time and what the loop adds: rows with figures of their own."""
    found = []
    for row in rows:
        name = row["what"]
        if name.endswith("gold picking"):
            said = ", ".join(f"{m} {row[m]['mean']:.1f} ± {row[m]['error']:.1f}" for m in ("medium", "large"))
        elif name.endswith("unseen layouts"):
            said = ", ".join(
                f"{group}: {one['success']:.1%} of {one['episodes']} "
                f"({one['interval'][0]:.1%} to {one['interval'][1]:.1%})"
                for group, one in row.items()
                if isinstance(one, dict)
            )
        elif name.startswith("seconds a plan"):
            said = f"{row['large']['median_seconds']:.2f} s, large, one task at a time, {row['large']['plans']} plans"
        elif name == "what self-evolution adds":
            said = (
                f"{row['closed by self-evolution']:.0%} of the gap from base to oracle; the same minutes on the "
                f"original data: {row['closed by the same minutes on the original data']:.0%}"
            )
        else:
            continue
        found.append((name, said))
    return "\n" + table(("", "value"), found) if found else ""


def constraint(data: dict[str, Any]) -> str:
    """How many generations parse, with the constraint and without, and what it costs."""
    rows = []
    for row in data["rows"]:
        low, high = row["interval"]
        rows.append(
            (
                row["language"],
                "on" if row["constrained"] else "off",
                f"{row['parses']} of {row['of']} ({row['share']:.1%}; {low:.1%} to {high:.1%})",
                f"{row['median_tokens']:g}",
                f"{row['cost_share']:.1%}" if row["constrained"] else "",
            )
        )
    return table(("language", "constraint", "parses (95 % interval)", "median tokens", "share of the time"), rows)


def runner_throughput(data: dict[str, Any]) -> str:
    """Programs a second by the runner and by a plain process each."""
    rows = [
        (
            row["language"],
            row["evaluator"],
            f"{row['programs_per_second']:.0f}",
            f"{row['plain_programs_per_second']:.1f}",
            f"{row['ratio']:.1f}",
        )
        for row in data["rows"]
    ]
    return table(("language", "evaluator", "programs/s", "a process each, programs/s", "ratio"), rows)


def grammar_coverage(data: dict[str, Any]) -> str:
    """How much of people's code the grammars accept."""
    rows = []
    for row in data["rows"]:
        low, high = row["interval"]
        rows.append(
            (row["language"], f"{row['accepted']} of {row['valid']}", f"{row['share']:.1%} ({low:.1%} to {high:.1%})")
        )
    return table(("language", "accepted", "share (95 % interval)"), rows)


def tokenization(data: dict[str, Any]) -> str:
    """How programs are cut into tokens."""
    rows = [
        (
            row["language"],
            f"{row['tokens_per_line']:.1f}",
            f"{row['bytes_per_token']:.1f}",
            f"{row['lexemes_whole']:.0%}",
            f"{row['tokens_crossing']:.1%}",
            f"{row['round_trips']} of {row['programs']}",
        )
        for row in data["rows"]
    ]
    head = ("tokens a line", "bytes a token", "lexemes in one token", "tokens across two lexemes", "back as they were")
    return table(("language", *head), rows)


def maze_environment(data: dict[str, Any]) -> str:
    """Returns of two policies and the share of rewarded steps of the data, beside what was published."""
    found = {(row["what"], row["maze"]): row for row in data["rows"] if "maze" in row}
    rows = []
    for name in ("umaze", "medium", "large"):
        told, made = found["returns", name], found["data", name]
        near = found["agreement with MuJoCo", name]
        rows.append(
            (
                name,
                f"{near['over episodes']:.0e}",
                "{:.1f} ± {:.1f}".format(*told["random return"]),
                f"{told['random return, published']:.1f}",
                "{:.1f} ± {:.1f}".format(*told["controller score"]),
                f"{told['controller score, on MuJoCo']:.1f}",
                f"{made['made']['reward']:.4f}",
                f"{made['published']['reward']:.4f}",
            )
        )
    head = (
        "maze",
        "farthest from MuJoCo over episodes",
        "random return",
        "published",
        "controller's score",
        "on MuJoCo",
        "rewarded steps of the data",
        "published",
    )
    return table(head, rows)


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "adapter": adapter,
    "adapter_training": adapter_training,
    "batch_invariance": batch_invariance,
    "constraint": constraint,
    "conversion": conversion,
    "first_run": first_run,
    "grammar_coverage": grammar_coverage,
    "main_command": main_command,
    "main_job": main_job,
    "maze": maze,
    "maze_environment": maze_environment,
    "runner_throughput": runner_throughput,
    "sandbox": sandbox,
    "setup_sizes": setup_sizes,
    "suite_times": suite_times,
    "tokenization": tokenization,
}
WITHOUT_FILE = frozenset({"setup_sizes"})
"""Tables that come from the manifest instead of a result file."""


def render(name: str, results: Path = RESULTS) -> str:
    """The body of one block; raises ResultError when its file is missing or incomplete."""
    if name not in TABLES:
        raise ResultError(f"There is no table {name!r}; known are {', '.join(TABLES)}.")
    if name in WITHOUT_FILE:
        return TABLES[name]({})
    path = results / f"{name}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        note = f"\nMeasured {data['date']} with `{data['command']}` on {data['machine']}.\n"
        return TABLES[name](data) + note
    except OSError as error:
        raise ResultError(f"The table {name!r} has no figures: {path.name} is not in benchmarks/results.") from error
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ResultError(f"{path.name} cannot be read as {name!r}: {type(error).__name__} {error}.") from error


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that may hold blocks."""
    found = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("src/**/*.md")]
    return sorted(page for page in found if BLOCK.search(page.read_text(encoding="utf-8")))


def filled(text: str, results: Path = RESULTS) -> tuple[str, list[str]]:
    """A page with all its blocks rewritten, and what could not be; those blocks stay as they are."""
    problems = []

    def block(match: re.Match[str]) -> str:
        try:
            body = render(match["name"], results)
        except ResultError as problem:
            problems.append(str(problem))
            return match[0]
        return f"{match[1]}{body}{match[4]}"

    return BLOCK.sub(block, text), problems


def main() -> int:
    """Rewrite or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something would change")
    check = parser.parse_args().check
    wrong = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new, problems = filled(text)
        where = page.relative_to(ROOT)
        wrong += [f"{where}: {problem}" for problem in problems]
        if new != text and check:
            wrong.append(f"{where}: a table differs from its results; run `python benchmarks/fill_readme.py`.")
        elif new != text:
            atomic_write(page, new)
            print(f"{where}: rewritten")
    sys.stderr.write("".join(f"{line}\n" for line in dict.fromkeys(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
