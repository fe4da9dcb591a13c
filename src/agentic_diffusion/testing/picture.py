"""Small pictures as SVG: the history of a project's tests. They load nothing; the colours suit both themes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from agentic_diffusion.testing.history import Point

WIDTH, HEIGHT, LEFT, TOP = 720, 240, 48, 36
BLUE, RED, GREY = "#4078c0", "#d1453b", "#8b949e"


def history_svg(points: Sequence[Point], *, title: str) -> str:
    """Coverage as a line (0 to 100 %), failed cases as red bars, a run a step; the newest at the right."""
    inner_width, inner_height = WIDTH - LEFT - 16, HEIGHT - TOP - 32
    step = inner_width / max(len(points), 1)
    most = max([point.numbers["failed"] for point in points] + [1])

    def x(place: int) -> float:
        return LEFT + step * (place + 0.5)

    def y(share: float) -> float:
        return TOP + inner_height * (1 - share)

    marks = [
        f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="{GREY}"'
        ' stroke-opacity="0.3"/>'
        f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.5, 1.0)
    ]
    for place, point in enumerate(points):
        share = point.numbers["failed"] / most
        if share:
            label = f"{point.numbers['failed']:.0f} failed"
            marks.append(
                f'<rect x="{x(place) - step / 4:.1f}" width="{step / 2:.1f}" y="{y(share / 2):.1f}"'
                f' height="{inner_height * share / 2:.1f}" fill="{RED}" fill-opacity="0.5"><title>{label}</title>'
                "</rect>"
            )
    covered = [(place, point.numbers["coverage"]) for place, point in enumerate(points) if "coverage" in point.numbers]
    if covered:
        line = " ".join(f"{x(place):.1f},{y(share):.1f}" for place, share in covered)
        marks.append(f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
        marks += [
            f'<circle cx="{x(place):.1f}" cy="{y(share):.1f}" r="3" fill="{BLUE}"><title>{share:.1%}</title></circle>'
            for place, share in covered
        ]
    legend = f"coverage (line) and failed cases (bars, at most {most:.0f}) over {len(points)} runs"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="11" fill="{GREY}"><title>{escape(title)}: {legend}</title>'
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}: {legend}</text>{"".join(marks)}</svg>\n'
    )
