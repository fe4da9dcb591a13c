"""How the model's tokenizer cuts programs, in the five languages: tokens a line, bytes a token, and lexemes.

    python benchmarks/tokenization.py DATA MODEL [--count 500] [--seed 0] [--out FILE]

DATA is a folder with LANGUAGE.jsonl.gz, whose rows hold a function as "code"; MODEL a model's folder. Every program is
also encoded and decoded again as it is, with CRLF, with tabs and behind a byte order mark: the bytes must come back.
Lexemes are the leaves of the syntax tree without comments and strings. `whole` is the share of them that one token
holds alone (spaces before it aside), `crossing` the share of tokens that hold the end of one lexeme and part of
another: what masking whole lexemes instead of tokens would have to join.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path
from typing import Any

from results import ROOT, write_result

from agentic_diffusion.domains.code.languages.trees import walk
from agentic_diffusion.domains.code.syntax import syntax
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer

LANGUAGES = ("python", "javascript", "typescript", "java", "go")


def lexemes(program: str, language: str) -> list[tuple[int, int]]:
    """Begin and end of every lexeme in characters of an ASCII program, comments and strings left out."""
    table = syntax(language)
    found, last = [], 0
    for node in walk(table.parse(program)):
        words = "string" in node.type or node.type in table.comments or "template" in node.type
        if words:
            last = max(last, node.end_byte)
        elif not node.children and node.start_byte >= last and node.end_byte > node.start_byte:
            if program[node.start_byte : node.end_byte].strip():
                found.append((node.start_byte, node.end_byte))
            last = node.end_byte
    return found


def cut(program: str, language: str, tokenizer: CodeTokenizer) -> tuple[int, int, int, int]:
    """Lexemes, those that one token holds alone, tokens, and tokens that cross from one lexeme into another."""
    spans = lexemes(program, language)
    owner: dict[int, int] = {place: number for number, (begin, end) in enumerate(spans) for place in range(begin, end)}
    alone, crossing, place = set(), 0, 0
    pieces = tokenizer.pieces(tokenizer.encode(program))
    for piece in pieces:
        held = {owner[spot] for spot in range(place, place + len(piece)) if spot in owner}
        crossing += len(held) > 1
        if len(held) == 1:
            (number,) = held
            begin, end = spans[number]
            if place <= begin and end <= place + len(piece):
                alone.add(number)
        place += len(piece)
    return len(spans), len(alone), len(pieces), crossing


def returns(program: str, tokenizer: CodeTokenizer) -> bool:
    """Whether a program comes back from its tokens in every form."""
    plain = program.replace("\r\n", "\n")
    forms = (
        program,
        plain.replace("\n", "\r\n"),
        "\ufeff" + plain,
        plain.replace("    ", "\t"),
        plain + "# é数\U0001f600\n",
    )
    return all(tokenizer.decode(tokenizer.encode(form)) == form for form in forms)


def measure(programs: list[str], language: str, tokenizer: CodeTokenizer) -> dict[str, Any]:
    """One row."""
    counts = [len(tokenizer.encode(program)) for program in programs]
    lines = sum(1 for program in programs for line in program.splitlines() if line.strip())
    plain = [program for program in programs if program.isascii()]
    cuts = [cut(program, language, tokenizer) for program in plain]
    words, alone, tokens, crossing = (sum(column) for column in zip(*cuts, strict=True))
    return {
        "language": language,
        "programs": len(programs),
        "tokens_per_line": round(sum(counts) / lines, 2),
        "bytes_per_token": round(sum(len(program.encode()) for program in programs) / sum(counts), 2),
        "lexemes_whole": round(alone / words, 3),
        "tokens_crossing": round(crossing / tokens, 3),
        "round_trips": sum(returns(program, tokenizer) for program in programs),
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tokenization.json")
    given = parser.parse_args()
    tokenizer = CodeTokenizer.load(given.model)
    rows = []
    print("language     tokens/line  bytes/token  lexemes whole  tokens crossing  round trips")
    for language in LANGUAGES:
        with gzip.open(given.data / f"{language}.jsonl.gz", "rt", encoding="utf-8", newline="") as stream:
            texts = [json.loads(line)["code"] for line in stream]
        programs = random.Random(given.seed).sample(texts, min(given.count, len(texts)))
        row = measure(programs, language, tokenizer)
        rows.append(row)
        print(
            f"{language:12} {row['tokens_per_line']:11} {row['bytes_per_token']:12} {row['lexemes_whole']:14.1%}"
            f" {row['tokens_crossing']:16.1%}  {row['round_trips']} of {row['programs']}"
        )
    write_result(given.out, "tokenization", rows, seed=given.seed, model=given.model.name)


if __name__ == "__main__":
    main()
