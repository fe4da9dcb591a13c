"""The pictures of the README: a denoising of the default model as an SVG, and the main command as a terminal shows it.

    python docs/make_picture.py                       docs/images/denoising.svg, by the model that is set up
    python docs/make_picture.py --model FOLDER --adapter FILE
    python docs/make_picture.py --capture             benchmarks/results/main_command.json, by ./agd itself

The picture is a real decoding in mode denoise, of the first candidate that passes the tests: frames of `cli.show`,
evenly spaced from all masked to done.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from agentic_diffusion.cli.show import MASK, frame, shade
from agentic_diffusion.codegen.coder import ADAPTER, Coder
from agentic_diffusion.codegen.request import GenerationRequest, build_prompt
from agentic_diffusion.diffusion.backbones.adapter import load_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.diffusion.block_state import Sample, StepView
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.foundation.settings import GenerateSettings, ModelSettings
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import load_suite

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "denoising.svg"
COMMAND = re.compile(r"^\./agd generate .*$", re.MULTILINE)
WIDTH = 88
FRAMES = 6
ATTEMPTS = 20
"""Candidates that are tried until one passes."""
THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [(22, 27, 34), (248, 81, 73), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207),
     (201, 209, 217)],
    [(110, 118, 129), (248, 81, 73), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255), (86, 212, 221),
     (240, 246, 252)],
)  # fmt: skip
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>A denoising: block by block, masked tokens become code</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
 font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own form without its web font: the picture loads nothing from anywhere."""


def main_command() -> list[str]:
    """The words of the README's first command, without the launcher."""
    found = COMMAND.search((ROOT / "README.md").read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit("the README has no line that starts with ./agd generate")
    return shlex.split(found[0])[1:]


def load(model: Path | None, adapter: Path) -> Coder:
    """The model that is set up, or the one in a folder."""
    if model is None:
        return Coder.load(ModelSettings(), adapter=adapter)
    parent = Llama.load(model)
    return Coder(parent, load_adapter(adapter, parent)[0], CodeTokenizer.load(model), "")


def denoising(coder: Coder, words: list[str], threshold: float) -> tuple[str, Sample, list[StepView]]:
    """The opening of the program, the first denoising that passes the tests, and every view of it.

    The greedy one comes first, then samples; the last view is the finished text. Ends the script if none passes.
    """
    suite = load_suite(ROOT / words[words.index("--tests") + 1])
    python = languages.get("python")
    prompt = build_prompt(GenerationRequest(prompt=words[1], suite=suite), python, coder.tokenizer)
    sandbox = choose()
    for stream in range(ATTEMPTS):
        settings = DecodeSettings(
            threshold=threshold,
            temperature=0.7 if stream else 0.0,
            top_p=0.95,
            stop_tokens=(coder.tokenizer.fence_id,),
        )
        views: list[StepView] = []
        (sample,) = coder.decoder(settings).decode([prompt.tokens], [stream], observe=views.append)
        program = python.extract(prompt.opening + coder.tokenizer.decode(sample.tokens))
        if judge(suite, [program], sandbox)[0].ok:
            masked = StepView([stream], [[]], [[None] * settings.block], [[0.0] * settings.block])
            done = StepView([stream], [sample.tokens], [[]], [[]])
            return prompt.opening, sample, [masked, *views[:-1], done]
    raise SystemExit(f"none of {ATTEMPTS} candidates passes {suite.origin}")


def evenly(count: int, frames: int) -> list[int]:
    """`frames` places from the first to the last of `count`, evenly spaced."""
    frames = min(frames, count)
    return [round(place * (count - 1) / max(1, frames - 1)) for place in range(frames)]


def coloured(view: StepView, sample: Sample, tokenizer: CodeTokenizer) -> Text:
    """One frame: committed tokens in the colour of the confidence they were committed with, then the open block."""
    pieces = tokenizer.pieces(view.committed[0])
    text = Text()
    for piece, confidence in zip(pieces, sample.confidences, strict=False):
        text.append(piece, style=shade(confidence))
    return text + frame(replace(view, committed=[[]]), 0, tokenizer)


def draw(coder: Coder, opening: str, sample: Sample, views: list[StepView]) -> str:
    """The frames under one another, as SVG."""
    console = Console(record=True, width=WIDTH, file=sys.stderr, force_terminal=True, color_system="truecolor")
    parts: list[object] = []
    for place in evenly(len(views), FRAMES):
        view = views[place]
        tokens = len(view.committed[0])
        done = place == len(views) - 1
        title = "all masked" if place == 0 else f"forward {place}: {tokens} tokens known" + ", tests passed" * done
        text = Text(opening, style="bright_black") + coloured(view, sample, coder.tokenizer)
        parts += [Text(title, style="bold blue"), Padding(text, (0, 0, 1, 2))]
    key = Text("confidence of a token: ", style="bright_black")
    for label, confidence in (("at least 0.9", 0.9), ("0.6", 0.6), ("0.3", 0.3), ("less", 0.0)):
        key.append(label, style=shade(confidence)).append("  ")
    parts.append(key.append(MASK, style="bright_black").append(" masked", style="bright_black"))
    console.print(Group(*parts))
    title = f"{len(views) - 1} forwards for {len(views[-1].committed[0])} tokens"
    return console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id="agd")


def capture(words: list[str]) -> None:
    """Run the main command by the launcher and keep what it wrote to stdout and stderr."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from results import write_result

    done = subprocess.run([ROOT / "agd", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the main command ended with {done.returncode}:\n{done.stderr}")
    row = {"exit_code": 0, "stdout": done.stdout, "stderr": done.stderr.replace(str(ROOT), ".")}
    target = ROOT / "benchmarks" / "results" / "main_command.json"
    write_result(target, "main_command", [row], command=shlex.join(["./agd", *words]))


def main() -> int:
    """Draw or capture; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of the converted model; default: the one that is set up")
    parser.add_argument("--adapter", type=Path, default=ADAPTER)
    parser.add_argument("--threshold", type=float, default=GenerateSettings().threshold)
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--capture", action="store_true", help="run the main command instead and keep its output")
    options = parser.parse_args()
    words = main_command()
    if options.capture:
        capture(words)
        return 0
    coder = load(options.model, options.adapter)
    opening, sample, views = denoising(coder, words, options.threshold)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(options.out, draw(coder, opening, sample, views))
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
