"""The drawing of a denoising: what is committed, what is masked, and in which colour."""

import pytest
from rich.console import Console

from agentic_diffusion.cli.show import MASK, LiveView, frame, shade
from agentic_diffusion.codegen.result import Candidate
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_state import StepView
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.testing.suite import inline_suite
from agentic_diffusion.testing.verdicts import Outcome, Verdict
from tiny_coder import random_adapter, random_llama, stock_tokenizer

TOKENIZER = CodeTokenizer(stock_tokenizer())


def _view(committed: str, window: list[str | None], confidence: list[float]) -> StepView:
    tokens = [None if text is None else TOKENIZER.encode(text)[0] for text in window]
    return StepView([7], [TOKENIZER.encode(committed)], [tokens], [confidence])


def test_a_frame_is_the_text_and_then_the_block_with_its_masks():
    text = frame(_view("x):\n", [None, "return", "x", None], [0.2, 0.95, 0.4, 0.0]), 0, TOKENIZER)
    assert text.plain == f"x):\n{MASK}returnx{MASK}"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles == {MASK: "bright_black", "return": "bold green", "x": "dark_orange"}


@pytest.mark.parametrize(
    ("confidence", "colour"),
    [(1.0, "bold green"), (0.9, "bold green"), (0.6, "yellow"), (0.59, "dark_orange"), (0.1, "red"), (0.0, "red")],
)
def test_the_colour_tells_the_confidence(confidence, colour):
    assert shade(confidence) == colour


def test_frames_of_a_real_denoising_end_with_its_text():
    parent = random_llama(0)
    views = []
    decoder = BlockDecoder(parent, random_adapter(parent), DecodeSettings(threshold=0.5, max_new_tokens=12))
    [sample] = decoder.decode([[40, 41, 42]], [0], observe=views.append)
    frames = [frame(view, 0, TOKENIZER) for view in views]
    assert frames[-1].plain.startswith(TOKENIZER.decode(views[-1].committed[0]).rstrip("\ufffd"))
    assert TOKENIZER.decode(views[-1].committed[0][: len(sample.tokens)]) == TOKENIZER.decode(sample.tokens)
    for view, drawn in zip(views, frames, strict=True):
        assert drawn.plain.count(MASK) == sum(token is None for token in view.window[0])


def test_the_live_view_draws_the_first_rows_and_tells_verdicts(monkeypatch):
    live = LiveView(TOKENIZER)
    console = Console(record=True, force_terminal=True, width=80)
    live._console = live._live.console = console
    one = _view("x):\n", [None, "return", None, None], [0.0, 0.95, 0.0, 0.0])
    many = StepView([4, 5, 6], one.committed * 3, one.window * 3, one.confidence * 3)
    case = inline_suite(["assert f(1) == 2"]).cases[0]
    outcome = Outcome(case=case, status="passed", message="", error_type=None, line=None, seconds=0.0)
    verdict = Verdict(
        candidate="", outcomes=(outcome,), passed=1, total=1, ok=True, tier="none", failure_line=None, message=""
    )
    candidate = Candidate(
        number=4, origin="sample", program="x", tokens=[], confidences=[], finished=True, confidence=0.0,
    )  # fmt: skip
    with live:
        live.step(many)
        live.candidate(candidate)  # not judged: nothing to tell
        candidate.verdict = verdict
        live.candidate(candidate)
        live._live.refresh()
    shown = console.export_text()
    assert "candidate 4: passed 1 of 1 tests" in shown
    assert shown.count("passed") == 1
    assert "candidate 5" in shown
    assert "candidate 6" not in shown
    assert "forward 1, 1 more candidates in the same forward" in shown
    assert f"{MASK}return{MASK}" in shown
