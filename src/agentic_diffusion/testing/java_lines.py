"""Line counters for Java, written into a copy of the sources: no jar is needed, and lines keep their numbers.

Before every statement stands `agd.Lines.hit(file, line);`; a statement without a block around it gets one. Files are
numbered in the order of their paths. At the end of the program the class `agd.Lines` writes what was hit to the file
that the variable AGD_LINES names, as `file:line` a line. Lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentic_diffusion.testing.coverage_readers import statement_nodes

VARIABLE = "AGD_LINES"


def instrument(source: str, number: int) -> str:
    """The program with a counter before every statement; `number` is that of its file."""
    data = source.encode("utf-8", "surrogatepass")
    edits: list[tuple[int, str]] = []
    for node in statement_nodes(source, "java"):
        call = f"agd.Lines.hit({number}, {node.start_point[0] + 1}); "
        parent = node.parent
        if parent is not None and parent.type in ("block", "constructor_body", "switch_block_statement_group"):
            edits.append((node.start_byte, call))
        else:
            edits += [(node.start_byte, "{ " + call), (node.end_byte, " }")]
    for offset, text in sorted(edits, key=lambda edit: edit[0], reverse=True):
        data = data[:offset] + text.encode() + data[offset:]
    return data.decode("utf-8", "surrogatepass")


def instrumented(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Every file with its counters, by path."""
    return {
        path: instrument((root / path).read_text(encoding="utf-8", errors="replace"), number)
        for number, path in enumerate(sorted(paths))
    }


def named(text: str, paths: Iterable[str]) -> str:
    """What `agd.Lines` wrote, with the paths in place of the numbers."""
    order = sorted(paths)
    made = []
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        if number.isdigit() and int(number) < len(order):
            made.append(f"{order[int(number)]}:{rest}\n")
    return "".join(made)
