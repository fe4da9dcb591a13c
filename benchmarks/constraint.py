"""How many generations at temperature 1 parse, with and without the constraint, in the five languages; and its cost.

    python benchmarks/constraint.py [--languages python go] [--count 500] [--batch 16] [--mode denoise] [--out FILE]

Every generation counts, cut-off ones too; the prompts (constraint_tasks.toml) open nothing, the whole program is the
model's. Judges: `ast` for Python, `node --check`, `tsc` (errors TS1000 to TS1344: syntax), the parser of `javac`,
`gofmt`; a language whose judge is missing is left out and said to be. Finished batches are kept in OUT.partial.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from pathlib import Path

from results import ROOT, wilson, write_result

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.settings import ModelSettings
from agentic_diffusion.installer import toolchains

LANGUAGES = ("python", "javascript", "typescript", "java", "go")
_JAVA = """
import java.net.URI; import java.util.*; import javax.tools.*; import com.sun.source.util.JavacTask;
public class Parse { public static void main(String[] names) throws Exception {
  JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
  for (String name : names) {
    DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
    StandardJavaFileManager files = compiler.getStandardFileManager(found, null, null);
    var sources = files.getJavaFileObjects(name);
    ((JavacTask) compiler.getTask(null, files, found, List.of("-proc:none"), null, sources)).parse();
    System.out.println(found.getDiagnostics().stream().noneMatch(d -> d.getKind() == Diagnostic.Kind.ERROR)); } } }
"""


def tool(chain: str, command: str) -> str | None:
    """The path of a command that lies beside a toolchain's program, or on the path."""
    found = toolchains.find(chain)
    beside = found.program.with_name(command) if found is not None else None
    return str(beside) if beside is not None and beside.exists() else shutil.which(command)


def judge(language: str, programs: list[str], tools: dict[str, str]) -> list[bool]:
    """Whether each program parses, by the language's own tool."""
    if language == "python":
        return [_python(program) for program in programs]
    ending = {"javascript": "js", "typescript": "ts", "java": "java", "go": "go"}[language]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"p{index}.{ending}" for index in range(len(programs))]
        for path, program in zip(paths, programs, strict=True):
            clause = "" if language != "go" or re.search(r"^\s*package\b", program, re.M) else "package main\n\n"
            path.write_text(clause + program)
        if language == "java":
            Path(folder, "Parse.java").write_text(_JAVA)
            command = [tools["java"], str(Path(folder, "Parse.java")), *map(str, paths)]
            return [line == "true" for line in _run(command).stdout.split()]
        if language == "typescript":
            options = [
                "--noEmit",
                "--noResolve",
                "--target",
                "es2022",
                "--module",
                "esnext",
                "--moduleDetection",
                "force",
            ]
            output = _run([tools["tsc"], *options, *map(str, paths)]).stdout
            bad = {Path(m[1]).name for m in re.finditer(r"^(\S+?)\(\d+,\d+\): error TS1[0-2]\d\d:", output, re.M)}
            bad |= {Path(m[1]).name for m in re.finditer(r"^(\S+?)\(\d+,\d+\): error TS13[0-3]\d:", output, re.M)}
            bad |= {Path(m[1]).name for m in re.finditer(r"^(\S+?)\(\d+,\d+\): error TS134[0-4]:", output, re.M)}
            return [path.name not in bad for path in paths]
        check = [tools["node"], "--check"] if language == "javascript" else [tools["gofmt"], "-e", "-l"]
        return [_run([*check, str(path)]).returncode == 0 for path in paths]


def _python(program: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def judges() -> dict[str, dict[str, str]]:
    """The tools of every language whose judge is here."""
    wanted = {
        "python": {},
        "javascript": {"node": tool("node", "node")},
        "typescript": {"tsc": tool("tsc", "tsc")},
        "java": {"java": tool("jdk", "java")},
        "go": {"gofmt": tool("go", "gofmt")},
    }
    return {name: tools for name, tools in wanted.items() if all(tools.values())}


def run_batch(
    coder: Coder, language: str, tasks: list[dict], first: int, options: argparse.Namespace, *, constrained: bool
) -> list[dict]:
    """One batch of generations, not yet judged."""
    spoken = languages.get(language)
    chosen = [tasks[(first + index) % len(tasks)] for index in range(options.batch)]
    prompts = [
        coder.tokenizer.chat(task["text"].format(lang=spoken.title), language=spoken.fences[0]).tokens
        for task in chosen
    ]
    settings = DecodeSettings(
        mode=options.mode,
        block=1 if options.mode == "ar" else 4,
        temperature=1.0,
        max_new_tokens=options.max_new_tokens,
        stop_tokens=(coder.tokenizer.fence_id,),
    )
    decoder = coder.decoder(settings)
    constraint = coder.constraint(language) if constrained else None
    begun = time.perf_counter()
    rows = [constraint.start("") for _ in prompts] if constraint is not None else None
    started = time.perf_counter() - begun
    samples = decoder.decode(prompts, range(first, first + options.batch), constraints=rows)
    seconds = time.perf_counter() - begun
    cost = started + decoder.counts.constraint_seconds
    return [
        {
            "language": language,
            "constrained": constrained,
            "task": task["name"],
            "stream": sample.stream,
            "tokens": len(sample.tokens),
            "finished": sample.finished,
            "program": coder.tokenizer.decode(sample.tokens),
            "seconds": seconds / options.batch,
            "constraint_seconds": cost / options.batch,
            "forwards": decoder.counts.forwards,
        }
        for task, sample in zip(chosen, samples, strict=True)
    ]


def summary(rows: list[dict], language: str, *, constrained: bool) -> dict:
    mine = [row for row in rows if row["language"] == language and row["constrained"] == constrained]
    parsed = sum(row["parses"] for row in mine)
    low, high = wilson(parsed, len(mine))
    return {
        "language": language,
        "constrained": constrained,
        "of": len(mine),
        "parses": parsed,
        "share": round(parsed / len(mine), 4),
        "interval": [round(low, 4), round(high, 4)],
        "median_tokens": statistics.median(row["tokens"] for row in mine),
        "ended_by_itself": sum(row["finished"] for row in mine),
        "cost_share": round(sum(r["constraint_seconds"] for r in mine) / sum(r["seconds"] for r in mine), 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument("--count", type=int, default=500, help="generations for each language and setting")
    parser.add_argument("--count-without", type=int, help="generations without the constraint; as many if not given")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--mode", default="denoise", choices=("denoise", "verify", "ar"))
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--without", choices=("yes", "no"), default="yes", help="measure without the constraint, too")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "constraint.json")
    options = parser.parse_args()
    tasks = tomllib.loads((ROOT / "benchmarks" / "constraint_tasks.toml").read_text())["tasks"]
    here = judges()
    for language in set(options.languages) - here.keys():
        print(f"{language} is left out: its judge is not installed", file=sys.stderr)
    coder = Coder.load(ModelSettings())
    partial = options.out.with_suffix(".partial")
    rows = json.loads(partial.read_text()) if partial.exists() else []
    settings = (True, False) if options.without == "yes" else (True,)
    chosen = [language for language in options.languages if language in here]
    for language in chosen:
        for constrained in settings:
            done = {row["stream"] for row in rows if (row["language"], row["constrained"]) == (language, constrained)}
            count = options.count if constrained else options.count_without or options.count
            for first in range(0, count, options.batch):
                if first in done:
                    continue
                made = run_batch(coder, language, tasks, first, options, constrained=constrained)
                verdicts = judge(language, [row["program"] for row in made], here[language])
                rows += [row | {"parses": verdict} for row, verdict in zip(made, verdicts, strict=True)]
                atomic_write(partial, json.dumps(rows))
                print(json.dumps(summary(rows, language, constrained=constrained)), file=sys.stderr, flush=True)
    table = [summary(rows, language, constrained=constrained) for language in chosen for constrained in settings]
    print("| language | constraint | parses | 95 % interval | median tokens | cost |")
    print("|---|---|---|---|---|---|")
    for row in table:
        low, high = row["interval"]
        on = "on" if row["constrained"] else "off"
        print(
            f"| {row['language']} | {on} | {row['parses']} of {row['of']} ({row['share']:.1%}) "
            f"| {low:.1%} to {high:.1%} | {row['median_tokens']} | {row['cost_share']:.1%} |"
        )
    kept = [{key: value for key, value in row.items() if key != "program" or not row["parses"]} for row in rows]
    write_result(options.out, "constraint", table, weights=coder.weights, mode=options.mode, generations=kept)
    partial.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
