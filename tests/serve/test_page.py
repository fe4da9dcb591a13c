"""The page in a real browser: a generation, its steps, the maze, the history; labels, themes, a quiet console."""

import os
from pathlib import Path

import browser
import pytest

from agentic_diffusion.serve.app import PAGE
from tiny_coder import ADD_ONE, ADD_ONE_TEST

PROGRAM = "def f(x):\n    return x + 1\n"
PICTURES = os.environ.get("AGD_TEST_PICTURES")
"""A folder for pictures of the page, for those who want to look at them."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    program = browser.find()
    if program is None:
        pytest.skip("there is no chromium here")
    made = browser.Page(program, tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


def _set(page, values: dict[str, str]) -> None:
    for name, value in values.items():
        page.run(f"document.getElementById({name!r}).value = {value!r}")


def _picture(page, name: str) -> None:
    if PICTURES:
        page.picture(Path(PICTURES) / f"{name}.png")


def test_the_page_is_whole_without_the_internet():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text, path.name
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 60_000


def test_a_generation_is_shown_step_by_step(page, served):
    page.open(served.url)
    page.wait("document.getElementById('model').textContent === 'model tiny'")
    _picture(page, "empty")
    unlabelled = (
        "[...document.querySelectorAll('input, select, textarea')].filter((e) => !e.labels?.length && !e.ariaLabel)"
    )
    assert page.run(f"{unlabelled}.length") == 0
    _set(page, {"prompt": ADD_ONE, "tests": ADD_ONE_TEST, "mode": "ar", "seconds": "60", "seed": "0"})
    page.run("document.getElementById('ask').requestSubmit()")
    page.wait("document.getElementById('verdict').textContent.includes('verified')")
    assert page.run("document.getElementById('program').textContent") == PROGRAM
    assert page.run("document.querySelectorAll('#tried li').length") == 1
    assert page.run("document.querySelector('#tried .badge').textContent") == "✓ passed"
    page.wait("document.getElementById('tokens').textContent.startsWith('def f(x')")
    last = int(page.run("document.getElementById('step').max"))
    assert last > 3
    _picture(page, "light")
    page.run("document.getElementById('step').focus()")
    page.key("Home", 36)
    page.wait(f"document.getElementById('step-text').textContent === 'step 0 of {last}'")
    page.key("ArrowRight", 39)
    page.wait(f"document.getElementById('step-text').textContent === 'step 1 of {last}'")
    page.wait("document.querySelectorAll('#tokens .token').length >= 2")
    assert page.run("document.querySelector('#tokens .given').textContent") == "def f("
    assert page.run("[...document.querySelectorAll('#tokens .token')][1].title.startsWith('committed with ')")
    page.run("document.getElementById('play').click()")
    page.wait(f"document.getElementById('step').value === '{last}'")
    page.theme("dark")
    _picture(page, "dark")
    page.theme("light")
    assert page.problems == []


def test_an_error_is_told_on_the_page(page, served):
    page.open(f"{served.url}/#code")
    _set(page, {"prompt": "x", "tests": "assert f(1) ==", "seconds": "5"})
    page.run("document.getElementById('ask').requestSubmit()")
    page.wait("document.getElementById('status').textContent.includes('do not parse')")
    assert page.run("document.getElementById('status').className") == "bad"
    page.problems.clear()


def test_a_maze_is_drawn_step_by_step(page, served):
    page.open(f"{served.url}/#maze")
    page.wait("!document.getElementById('view-maze').hidden && document.getElementById('view-code').hidden")
    _set(page, {"layout": "umaze", "start": "1,2", "goal": "1,1", "plans": "6", "plan-steps": "3"})
    page.run("document.getElementById('plan').requestSubmit()")
    page.wait("document.querySelectorAll('#drawing .driven').length === 1")
    assert page.run("document.querySelectorAll('#drawing .way').length") == 6
    assert page.run("document.querySelector('#drawing svg').getAttribute('aria-label')").startswith("Maze ")
    _picture(page, "maze")
    page.run("document.getElementById('maze-step').value = 1")
    page.run("document.getElementById('maze-step').dispatchEvent(new Event('input'))")
    assert page.run("document.getElementById('maze-text').textContent") == "step 1 of 4"
    assert page.run("document.querySelectorAll('#drawing .driven').length") == 0
    assert page.problems == []


def test_the_history_shows_what_was_done(page, served):
    page.open(f"{served.url}/#history")
    page.wait("document.querySelectorAll('#runs tbody tr').length >= 2")
    assert ADD_ONE in page.run("document.getElementById('runs').textContent")
    _picture(page, "history")
    page.run("[...document.querySelectorAll('#runs button')].find((b) => !b.disabled).click()")
    page.wait("!document.getElementById('view-code').hidden && !document.getElementById('program').hidden")
    assert page.problems == []
