"""The graph of a lock as an SVG: the projects on the left, each package one column right of all that need it.

Circles are the name's version in a box; a red border marks a name that is locked in several versions. Text is escaped,
the file stands alone, and the same lock gives the same bytes. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.packages.graph import Graph

_COLUMN = 250
_ROW = 44
_BOX = (200, 32)
_MARGIN = 20


def draw(graph: Graph, sizes: Mapping[str, Mapping[str, int]] | None = None) -> str:
    """The picture; `sizes` are those of `graph.sizes`, shown under the names."""
    columns: dict[int, list[str]] = {}
    for key, depth in sorted(depths(graph).items()):
        columns.setdefault(depth, []).append(key)
    places = {
        key: (_MARGIN + depth * _COLUMN, _MARGIN + row * _ROW)
        for depth, keys in sorted(columns.items())
        for row, key in enumerate(_ordered(keys, graph, columns.get(depth - 1, [])))
    }
    width = 2 * _MARGIN + (max(columns, default=0) + 1) * _COLUMN
    height = 2 * _MARGIN + max((len(keys) for keys in columns.values()), default=1) * _ROW
    twice = graph.duplicates()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for parent, children in graph.children.items():
        lines += [_line(places[parent], places[child]) for child in children]
    for key, place in places.items():
        package = graph.packages[key]
        size = format_size(sizes[key]["own"]) if sizes and sizes[key]["own"] else ""
        lines.append(
            _box(place, f"{package.name} {package.version}", size, root=key in graph.roots, twice=package.name in twice)
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def depths(graph: Graph) -> dict[str, int]:
    """The longest way from a root to each key; a circle counts once, so that the columns stay finite."""
    circle = {key: members[0] for members in graph.cycles() for key in members}
    found = dict.fromkeys(graph.roots, 0)
    waiting = dict.fromkeys(graph.packages, 0)
    inner = {
        (circle.get(parent, parent), circle.get(child, child))
        for parent, children in graph.children.items()
        for child in children
    }
    edges = [(parent, child) for parent, child in inner if parent != child]
    for _, child in edges:
        waiting[child] += 1
    ready = sorted(key for key in waiting if circle.get(key, key) == key and waiting[key] == 0)
    depth = dict.fromkeys(ready, 0)
    while ready:
        parent = ready.pop()
        for one, child in edges:
            if one == parent:
                depth[child] = max(depth.get(child, 0), depth[parent] + 1)
                waiting[child] -= 1
                if waiting[child] == 0:
                    ready.append(child)
    return {key: found.get(key, depth.get(circle.get(key, key), 0)) for key in graph.packages}


def _ordered(keys: list[str], graph: Graph, before: list[str]) -> list[str]:
    """By the mean place of those who need them, so that fewer lines cross."""
    rank = {key: row for row, key in enumerate(before)}

    def mean(key: str) -> tuple[float, str]:
        rows = [rank[parent] for parent in graph.parents.get(key, ()) if parent in rank]
        return (sum(rows) / len(rows) if rows else float(len(rank)), key)

    return sorted(keys, key=mean)


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + _BOX[0], start[1] + _BOX[1] // 2
    x2, y2 = end[0], end[1] + _BOX[1] // 2
    half = (x1 + x2) // 2
    return f'<path d="M{x1},{y1} C{half},{y1} {half},{y2} {x2},{y2}" fill="none" stroke="#9aa5b1"/>'


def _box(place: tuple[int, int], text: str, size: str, *, root: bool, twice: bool) -> str:
    x, y = place
    colour = "#dbeafe" if root else "#f3f4f6"
    border = "#dc2626" if twice else "#6b7280"
    return (
        f'<g><rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6" fill="{colour}" stroke="{border}"/>'
        f'<text x="{x + 8}" y="{y + 20}">{escape(text)}</text>'
        f'<text x="{x + _BOX[0] - 8}" y="{y + 20}" text-anchor="end" fill="#6b7280">{escape(size)}</text></g>'
    )
