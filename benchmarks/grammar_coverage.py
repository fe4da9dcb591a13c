"""How much of the code that people write the grammars of the constraint accept, in the five languages.

    python benchmarks/grammar_coverage.py DATA [--languages python go] [--count 300] [--seed 0] [--out FILE]

DATA is a folder with LANGUAGE.jsonl.gz, whose rows hold a function as "code". Functions are drawn at random; a Java
method is put into a class, a Go function behind `package main`. Those that the language's own parser refuses do not
count (the judges of constraint.py). Early errors (domains/code/early_errors.py) count as refused.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import textwrap
from pathlib import Path

import llguidance
from constraint import LANGUAGES, judge, judges
from results import ROOT, wilson, write_result

from agentic_diffusion.domains.code import early_errors, grammar

LIMITS = llguidance.LLParserLimits(
    max_grammar_size=5_000_000, initial_lexer_fuel=50_000_000, step_lexer_fuel=5_000_000, step_max_items=500_000
)


def drawn(path: Path, language: str, count: int, seed: int) -> list[str]:
    """Functions out of a file, each a whole program, with line ends as a model writes them."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        texts = [json.loads(line)["code"].replace("\r\n", "\n").rstrip("\r") for line in lines]
    texts = random.Random(seed).sample(texts, min(count, len(texts)))
    if language == "java":
        return [f"class A {{\n{text}\n}}\n" for text in texts]
    if language == "go":
        return [f"package main\n\n{text}\n" for text in texts]
    return [textwrap.dedent(text) for text in texts]


def accepted(language: str, programs: list[str]) -> int:
    """How many programs the grammar takes whole."""
    engine = llguidance.LLTokenizer("byte")
    made = llguidance.LLMatcher.grammar_from_lark(grammar.source(language))
    fresh = llguidance.LLMatcher(engine, made, limits=LIMITS)
    if fresh.is_error():
        raise SystemExit(f"{language}: {fresh.get_error()}")
    found = 0
    for program in programs:
        matcher = fresh.deep_copy()
        tokens = engine.tokenize_bytes(program.encode())
        whole = matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
        found += whole and not early_errors.certain(language, program)
    return found


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "grammar_coverage.json")
    given = parser.parse_args()
    tools, rows = judges(), []
    for language in given.languages:
        if language not in tools:
            print(f"{language} is left out: its judge is not installed")
            continue
        programs = drawn(given.data / f"{language}.jsonl.gz", language, given.count, given.seed)
        valid = [
            program for program, ok in zip(programs, judge(language, programs, tools[language]), strict=True) if ok
        ]
        count = accepted(language, valid)
        low, high = wilson(count, len(valid))
        rows.append(
            {
                "language": language,
                "drawn": len(programs),
                "valid": len(valid),
                "accepted": count,
                "share": round(count / len(valid), 3),
                "interval": [round(low, 3), round(high, 3)],
            }
        )
        print(f"{language:12} {count:4} of {len(valid):4}  {count / len(valid):.1%}  ({low:.1%} to {high:.1%})")
    write_result(given.out, "grammar_coverage", rows, seed=given.seed)


if __name__ == "__main__":
    main()
