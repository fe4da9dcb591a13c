"""The curve of a training as a picture (SVG, no library): the loss of each step, its running mean, the learning rate.

The log is JSON lines with at least `step` and `loss`. A step that is there twice, because a killed training went on
from an earlier checkpoint, counts as it was last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import UsageError

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 56, 56, 30, 34
WINDOW = 25
"""Steps of the running mean."""
_LOSS, _MEAN, _RATE, _GREY = "#9db8d9", "#205090", "#c07020", "#8b949e"


def read_log(path: Path) -> list[dict[str, float]]:
    """The reports of a log in the order of their steps; a half-written last line is left out.

    Raises UsageError where no line is a report.
    """
    found = json_lines.read(path, noun="log")
    reports = {row["step"]: row for _, row in found.rows if "step" in row and "loss" in row}
    if not reports:
        raise UsageError(f"The log {path} holds no step.", hint="train at least one step.")
    return [reports[step] for step in sorted(reports)]


def running_mean(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """The mean of the last `window` values at each place, of fewer at the beginning."""
    return [
        sum(values[max(0, place - window + 1) : place + 1]) / min(place + 1, window) for place in range(len(values))
    ]


def loss_svg(reports: Sequence[dict[str, float]], *, title: str) -> str:
    """The picture; the loss on the left axis, the learning rate, where it is logged, on the right one."""
    steps = [report["step"] for report in reports]
    losses = [report["loss"] for report in reports]
    low, high = min(losses), max(losses)
    span = (high - low) or 1.0
    rates = [report.get("learning_rate", 0.0) for report in reports]
    top_rate = max(rates)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - steps[0]) / max(steps[-1] - steps[0], 1)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    def line(values: Sequence[float], colour: str, width: float) -> str:
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(steps, values, strict=True))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    parts = [_label(WIDTH / 2, 18, title, "middle")]
    for share in (0.0, 0.5, 1.0):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="{_GREY}"'
            ' stroke-opacity="0.3"/>'
        )
        parts.append(_label(LEFT - 6, y(share) + 4, f"{low + share * span:.2f}", "end"))
        if top_rate:
            parts.append(_label(WIDTH - RIGHT + 6, y(share) + 4, f"{share * top_rate:.1e}", "start"))
    parts += [_label(x(step), HEIGHT - 14, f"{step:g}", "middle") for step in dict.fromkeys((steps[0], steps[-1]))]
    parts.append(_label(WIDTH / 2, HEIGHT - 14, "step", "middle"))
    if top_rate:
        parts.append(line([rate / top_rate for rate in rates], _RATE, 1))
    parts.append(line([(loss - low) / span for loss in losses], _LOSS, 1))
    parts.append(line([(mean - low) / span for mean in running_mean(losses)], _MEAN, 2))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="12" fill="{_GREY}">\n{body}\n</svg>\n'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    told = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{told}</text>'
