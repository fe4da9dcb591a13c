"""Does `--style` bring programs nearer to the style of a repository? On functions that the profile has not seen.

    python benchmarks/style.py FOLDER --language python --functions 40 --out benchmarks/results/style.json

The files of FOLDER are dealt to two halves. The profile is that of one half; the other half gives the prompts: the head
and the first line of the documentation of its functions. For every prompt the same candidates (same seeds) are drawn
with and without the style. Reported is the mean distance from the profile, in [0, 1], of all candidates (those that are
cut or do not parse too) and of the one that is taken, the difference with a 95 % bootstrap interval over prompts, and
that of the held-out functions themselves.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from results import write_result

from agentic_diffusion.codegen.coder import ADAPTER, Coder
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.request import GenerationRequest, decode_settings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.files import program_files, read_program
from agentic_diffusion.domains.code.style import StyleProfile, distance, merged, style_of
from agentic_diffusion.domains.code.syntax import functions, syntax, text
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings

RESAMPLES = 2000


@dataclass(frozen=True)
class Task:
    """A held-out function."""

    prompt: str
    source: str


def held_out(source: str, language: str) -> list[Task]:
    """The functions of a program that have a name, arguments and a documentation in words."""
    table, found = syntax(language), []
    for node in functions(table.parse(source), table):
        name, arguments = node.child_by_field_name("name"), node.child_by_field_name("parameters")
        words = documentation(node, language)
        if name is not None and arguments is not None and len(words.split()) > 3 and not text(name).startswith("_"):
            prompt = f"Write a function {text(name)}{' '.join(text(arguments).split())}. {words}"
            found.append(Task(prompt, text(node)))
    return found


def documentation(node, language: str) -> str:
    """The first line of the docstring, or of the comment above."""
    if language == "python":
        body = node.child_by_field_name("body")
        first = text(body.named_children[0]).strip("\"'rR") if body is not None and body.named_children else ""
        return first.splitlines()[0].strip() if first and body.named_children[0].type == "expression_statement" else ""
    above = node.prev_named_sibling
    if above is None or above.type not in syntax(language).comments:
        return ""
    return next((line for raw in text(above).splitlines() if (line := raw.strip(" */"))), "")


def measure(task: Task, coder: Coder, language: str, style: StyleProfile, arguments: argparse.Namespace) -> dict:
    """Distances from the profile, with and without it."""
    row: dict[str, float | str] = {"prompt": task.prompt, "human": distance(style, task.source)}
    request = GenerationRequest(
        prompt=task.prompt,
        language=language,
        candidates=arguments.candidates,
        batch=arguments.candidates,
        seconds=arguments.seconds,
        decode=decode_settings(GenerateSettings(max_new_tokens=arguments.tokens), seed=arguments.seed),
    )
    for label, asked in (("without", None), ("with", style)):
        result = generate(replace(request, style=asked), coder, None)
        far = [distance(style, candidate.program) for candidate in result.candidates if candidate.program]
        if far:
            row |= {label: statistics.fmean(far), f"taken_{label}": distance(style, result.program)}
    return row


def interval(differences: list[float], seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of a mean."""
    rng = random.Random(seed)
    means = sorted(statistics.fmean(rng.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language", default="python")
    parser.add_argument("--functions", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    language = languages.get(arguments.language).name
    files = sorted(path for path, _ in program_files([arguments.folder], language=language))
    seen, unseen = files[::2], files[1::2]
    style = merged([style_of(read_program(path), language) for path in seen], language)
    tasks = [task for path in unseen for task in held_out(read_program(path), language)]
    chosen = random.Random(arguments.seed).sample(tasks, min(arguments.functions, len(tasks)))
    coder = Coder.load(ModelSettings(), adapter=ADAPTER)
    rows = [measure(task, coder, language, style, arguments) for task in chosen]
    whole = [row for row in rows if "with" in row and "without" in row]
    if not whole:
        sys.stderr.write("No prompt gave a program both with and without the style.\n")
        return 1
    summary = {key: statistics.fmean(row[key] for row in whole) for key in whole[0] if key != "prompt"}
    low, high = interval([row["with"] - row["without"] for row in whole], arguments.seed)
    print(style.sentence())
    for key, value in summary.items():
        print(f"{key:14} {value:.3f}")
    print(f"with - without {summary['with'] - summary['without']:+.3f} [{low:+.3f}, {high:+.3f}], {len(whole)} prompts")
    write_result(arguments.out, "style", rows, sentence=style.sentence(), summary=summary, interval=[low, high])
    return 0


if __name__ == "__main__":
    sys.exit(main())
