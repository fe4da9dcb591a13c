"""Events go to stderr, as lines for people or as JSON; progress is quiet where nobody looks."""

import io
import json
import logging
import subprocess
import sys
import threading
from datetime import datetime

import pytest

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import UsageError


@pytest.fixture(autouse=True)
def _restore():
    yield
    events.configure(style="human", level="warning", run_id="")


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _lines(capsys) -> list[dict]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_json_line_carries_everything(capsys):
    events.configure(style="json", level="info", run_id="run-1")
    events.get_logger("agentic_diffusion.codegen").info("block %d done", 3, extra={"forwards": 7, "run": "not this"})
    (line,) = _lines(capsys)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "info",
        "run": "run-1",
        "logger": "agentic_diffusion.codegen",
        "message": "block 3 done",
        "forwards": 7,
    }
    assert events.run_id() == "run-1"


def test_an_exception_is_one_json_line(capsys):
    events.configure(style="json", level="info", run_id="r")
    try:
        int("bad")
    except ValueError:
        events.get_logger("x").exception("it failed")
    (line,) = _lines(capsys)
    assert line["logger"] == "agentic_diffusion.x"
    assert line["message"].startswith("it failed\nTraceback")


def test_levels_filter_log_lines_but_not_what_is_said(capsys):
    events.configure(style="human", level="error", run_id="r")
    events.get_logger("x").warning("hidden")
    events.get_logger("x").error("shown", extra={"n": 1})
    events.say("for you")
    assert capsys.readouterr().err == "error x: shown n=1\nfor you\n"


def test_configuring_twice_does_not_double_the_lines(capsys):
    for _ in range(2):
        events.configure(style="human", level="info", run_id="r")
    events.get_logger("x").info("once")
    assert capsys.readouterr().err == "info x: once\n"


def test_quiet_silences_talk_but_not_warnings(capsys):
    events.configure(style="human", level="warning", run_id="r", quiet=True)
    events.say("hello")
    with events.progress("load", 10, "rows") as bar:
        bar.advance(10)
    events.get_logger("x").warning("careful")
    assert capsys.readouterr().err == "warning x: careful\n"


def test_what_is_said_is_a_json_line_in_json_style(capsys):
    events.configure(style="json", level="error", run_id="r")
    events.say("done", seconds=1.5)
    (line,) = _lines(capsys)
    assert (line["message"], line["seconds"], line["run"]) == ("done", 1.5, "r")


def test_progress_without_a_terminal_speaks_at_every_tenth(capsys):
    with events.progress("fetch", 1000, "B") as bar:
        for _ in range(1000):
            bar.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fetch: 10 % (100 B of 1.0 kB)"
    assert lines[-1] == "fetch: 100 % (1.0 kB of 1.0 kB)"
    assert len(lines) == 10


def test_progress_in_big_steps_does_not_repeat_itself(capsys):
    with events.progress("fetch", 3, "files") as bar:
        for _ in range(3):
            bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "fetch: 33 % (1 files of 3 files)",
        "fetch: 66 % (2 files of 3 files)",
        "fetch: 100 % (3 files of 3 files)",
    ]


def test_progress_of_unknown_length_is_silent_without_a_terminal(capsys):
    with events.progress("scan", None, "files") as bar:
        bar.advance(100)
    assert capsys.readouterr().err == ""


def test_progress_in_json_style_has_fields(capsys):
    events.configure(style="json", level="error", run_id="r")
    with events.progress("fetch", 2, "files") as bar:
        bar.advance()
    (line,) = _lines(capsys)
    assert (line["label"], line["done"], line["total"], line["unit"]) == ("fetch", 1, 2, "files")


def test_progress_in_a_terminal_redraws_one_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with events.progress("fetch", 4, "files") as bar:
        bar.advance(4)
    text = terminal.getvalue()
    assert text.startswith("\r\x1b[2K")
    assert text.endswith("fetch: 100 % (4 files of 4 files)\n")
    assert text.count("\n") == 1


def test_progress_counts_from_many_threads(capsys):
    with events.progress("work", 400, "items") as bar:
        threads = [threading.Thread(target=lambda: [bar.advance() for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bar.done == 400
    assert len(capsys.readouterr().err.splitlines()) == 10


def test_a_terminal_shows_brackets_as_they_are(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    events.configure(style="human", level="info", run_id="r")
    events.get_logger("x").info("the token [MASK] and [bold]this[/bold]")
    assert "the token [MASK] and [bold]this[/bold]" in terminal.getvalue()


def test_without_rich_the_lines_are_plain():
    code = (
        "import sys; sys.modules['rich'] = None; sys.stderr.isatty = lambda: True;"
        "from agentic_diffusion.foundation import events;"
        "events.configure(style='human', level='info', run_id='r'); events.get_logger('x').info('plain')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "info x: plain\n"
    assert result.stdout == ""


def test_run_ids_are_distinct_and_sort_by_time():
    ids = {events.new_run_id() for _ in range(50)}
    assert len(ids) == 50
    stamp = sorted(ids)[0]
    assert datetime.strptime(stamp[:15], "%Y%m%d-%H%M%S")


@pytest.mark.parametrize(
    ("style", "level", "message"),
    [
        ("xml", "info", "'xml' is not a log style: human, json are allowed."),
        ("json", "loud", "'loud' is not a log level: debug, info, warning, error are allowed."),
    ],
)
def test_unknown_styles_and_levels_are_refused(style, level, message):
    with pytest.raises(UsageError) as caught:
        events.configure(style=style, level=level, run_id="r")
    assert caught.value.message == message


def test_the_loggers_of_others_are_left_alone():
    before = list(logging.getLogger().handlers), logging.getLogger().level
    events.configure(style="json", level="debug", run_id="r")
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
