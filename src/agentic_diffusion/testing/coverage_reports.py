"""Coverage, told: text, LCOV, Cobertura XML and HTML.

LCOV is the form of lcov 1.x (SF, DA, BRDA, LF, LH, BRF, BRH records). Cobertura is the XML of cobertura 04 that CI
servers read; its packages are folders. HTML is one page with an index and a page a file, which load nothing from
anywhere. Paths are relative to the project; lines count from 1, shares lie in [0, 1].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.testing.coverage import FileCoverage, ProjectCoverage

SHOWN = 60
"""Characters of the list of missing lines."""
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color-scheme:light dark}
table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left}td.n{text-align:right}
pre{margin:0;font:13px/1.35 ui-monospace,monospace}.hit{background:#3fb95022}.miss{background:#f8514933}
.part{background:#d2992233}.no{color:#8b949e;display:inline-block;width:4em;text-align:right;margin-right:1em}
.why{color:#8b949e;font-size:12px}
"""


def text(found: ProjectCoverage) -> str:
    """A table: statements, missing lines and branches of every file, and the totals."""
    rows: list[tuple[str, ...]] = [("file", "lines", "missed", "branches", "missed", "covered", "not covered")]
    rows += [_row(one) for one in found.files]
    whole = (
        sum(len(one.statements) for one in found.files), sum(len(one.missing) for one in found.files),
        sum(len(one.branches) for one in found.files), sum(len(one.branches - one.taken) for one in found.files),
    )  # fmt: skip
    rows.append(("all files", *map(str, whole), f"{found.share():.1%}", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _row(one: FileCoverage) -> tuple[str, ...]:
    gone = spans(one.missing)
    jumps = ", ".join(f"{start}->{'exit' if end < 0 else end}" for start, end in one.missing_branches)
    shown = ", ".join(part for part in (gone, jumps) if part)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    counts = (len(one.statements), len(one.missing), len(one.branches), len(one.branches - one.taken))
    return (one.path, *map(str, counts), f"{share(one):.1%}", shown)


def share(one: FileCoverage) -> float:
    """Covered lines and taken branches of one file, of all that it has."""
    return ProjectCoverage(files=(one,)).share()


def spans(lines: Iterable[int]) -> str:
    """Numbers as people write them: "1-3, 7"."""
    parts = []
    for _, run in groupby(enumerate(sorted(lines)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ", ".join(parts)


def as_json(found: ProjectCoverage) -> dict[str, object]:
    """The coverage as a JSON-ready mapping."""
    return {
        "share": found.share(),
        "files": [
            {
                "path": one.path, "language": one.language, "share": share(one), "statements": sorted(one.statements),
                "missing": one.missing, "branches": len(one.branches), "missing_branches": one.missing_branches,
                "by_case": {case: sorted(lines) for case, lines in sorted(one.by_case.items())},
            }
            for one in found.files
        ],
    }  # fmt: skip


def lcov(found: ProjectCoverage) -> str:
    """The coverage as an LCOV tracefile; a line's count is that of the cases that ran it."""
    lines = []
    for one in found.files:
        counts = _counts(one)
        lines += ["TN:", f"SF:{one.path}", *(f"DA:{line},{counts[line]}" for line in sorted(one.statements))]
        for start, jumps in _by_line(one).items():
            lines += [
                f"BRDA:{start},0,{number},{int(jump in one.taken) if start in one.covered else '-'}"
                for number, jump in enumerate(jumps)
            ]
        lines += [f"BRF:{len(one.branches)}", f"BRH:{len(one.taken)}", f"LF:{len(one.statements)}"]
        lines += [f"LH:{len(one.covered)}", "end_of_record"]
    return "".join(f"{line}\n" for line in lines)


def cobertura(found: ProjectCoverage, *, timestamp: int) -> str:
    """The coverage as Cobertura XML; `timestamp` in seconds since 1970."""
    root = ElementTree.Element(
        "coverage", _rates(found.files), version="1", timestamp=str(timestamp * 1000), complexity="0"
    )
    ElementTree.SubElement(ElementTree.SubElement(root, "sources"), "source").text = "."
    packages = ElementTree.SubElement(root, "packages")
    folders: dict[str, list[FileCoverage]] = defaultdict(list)
    for one in found.files:
        folders[one.path.rpartition("/")[0]].append(one)
    for folder, files in sorted(folders.items()):
        rates = _rates(files)
        package = ElementTree.SubElement(
            packages, "package", name=folder.replace("/", ".") or ".", complexity="0",
            attrib={name: rates[name] for name in ("line-rate", "branch-rate")},
        )  # fmt: skip
        classes = ElementTree.SubElement(package, "classes")
        for one in files:
            _cobertura_file(classes, one)
    ElementTree.indent(root)
    head = '<?xml version="1.0" ?>\n<!DOCTYPE coverage SYSTEM "coverage-04.dtd">\n'
    return head + ElementTree.tostring(root, encoding="unicode") + "\n"


def _cobertura_file(classes: ElementTree.Element, one: FileCoverage) -> None:
    rates = _rates([one])
    made = ElementTree.SubElement(
        classes, "class", name=one.path.rpartition("/")[2], filename=one.path, complexity="0",
        attrib={name: rates[name] for name in ("line-rate", "branch-rate")},
    )  # fmt: skip
    ElementTree.SubElement(made, "methods")
    lines, counts, jumps = ElementTree.SubElement(made, "lines"), _counts(one), _by_line(one)
    for line in sorted(one.statements):
        entry = ElementTree.SubElement(lines, "line", number=str(line), hits=str(counts[line]))
        if line in jumps:
            taken = sum(jump in one.taken for jump in jumps[line])
            entry.set("branch", "true")
            entry.set("condition-coverage", f"{100 * taken // len(jumps[line])}% ({taken}/{len(jumps[line])})")


def _rates(files: Iterable[FileCoverage]) -> dict[str, str]:
    kept = list(files)
    valid, covered = sum(len(one.statements) for one in kept), sum(len(one.covered) for one in kept)
    branches, taken = sum(len(one.branches) for one in kept), sum(len(one.taken) for one in kept)
    return {
        "line-rate": f"{covered / valid if valid else 1:.4f}",
        "branch-rate": f"{taken / branches if branches else 1:.4f}",
        "lines-covered": str(covered), "lines-valid": str(valid), "branches-covered": str(taken),
        "branches-valid": str(branches),
    }  # fmt: skip


def _counts(one: FileCoverage) -> dict[int, int]:
    counts = {line: int(line in one.covered) for line in one.statements}
    for lines in one.by_case.values():
        for line in lines:
            counts[line] += 1
    return {line: max(count - 1, 1) if count > 1 else count for line, count in counts.items()}


def _by_line(one: FileCoverage) -> Mapping[int, list[tuple[int, int]]]:
    made: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for jump in sorted(one.branches):
        made[jump[0]].append(jump)
    return made


def html(found: ProjectCoverage, root: Path, target: Path) -> None:
    """Write index.html and a page a file into the folder `target`, made where it is not there."""
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, one in enumerate(found.files):
        page = f"file-{number}.html"
        atomic_write(target / page, _page(one, (root / one.path).read_text(encoding="utf-8", errors="replace")))
        rows.append(
            f'<tr><td><a href="{page}">{escape(one.path)}</a></td><td class="n">{len(one.statements)}</td>'
            f'<td class="n">{len(one.missing)}</td><td class="n">{len(one.branches - one.taken)}</td>'
            f'<td class="n">{share(one):.1%}</td></tr>'
        )
    head = "<tr><th>file</th><th>lines</th><th>missed</th><th>branches missed</th><th>covered</th></tr>"
    body = f"<h1>{found.share():.1%} covered</h1><table>{head}{''.join(rows)}</table>"
    atomic_write(target / "index.html", _document("Coverage", body))


def _page(one: FileCoverage, source: str) -> str:
    cases: dict[int, list[str]] = defaultdict(list)
    for case, seen in one.by_case.items():
        for place in seen:
            cases[place].append(case)
    gone, made = dict.fromkeys(start for start, _ in one.missing_branches), []
    for number, line in enumerate(source.splitlines(), start=1):
        kind = (
            "part" if number in gone else "hit" if number in one.covered else "miss" if number in one.statements else ""
        )
        jumps = [end for start, end in one.missing_branches if start == number]
        goals = ", ".join("the end" if end < 0 else str(end) for end in jumps)
        why = f' <span class="why">never goes to {goals}</span>' if jumps else ""
        title = escape("\n".join(sorted(cases[number])[:20]), quote=True)
        made.append(f'<pre class="{kind}" title="{title}"><span class="no">{number}</span>{escape(line)}{why}</pre>')
    return _document(one.path, f'<p><a href="index.html">all files</a></p><h1>{escape(one.path)}</h1>{"".join(made)}')


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
