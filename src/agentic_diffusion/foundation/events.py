"""Logging, run id and progress: everything goes to stderr, for people or as JSON lines.

    human   what a person reads: `say` lines as they are, log lines with level and logger; colours in a terminal
            where rich is installed, plain otherwise
    json    one object a line: time (UTC, ISO 8601), level, run, logger, message, and the extra fields

Stdout is data and is never touched. Standard library only; rich is used when it is there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from agentic_diffusion.foundation.errors import UsageError

Style = Literal["human", "json"]
LEVELS = ("debug", "info", "warning", "error")
_ROOT = "agentic_diffusion"
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@dataclass
class _State:
    """How events are shown now; one for the process, set by `configure`."""

    style: Style = "human"
    run_id: str = ""
    quiet: bool = False


_state = _State()


def configure(*, style: Style, level: str, run_id: str, quiet: bool = False) -> None:
    """Set how events are shown from now on; may be called again.

    `level` is debug, info, warning or error and concerns log lines. `quiet` silences `say` and `progress`.
    Raises UsageError for an unknown style or level.
    """
    _require("log style", style, ("human", "json"))
    _require("log level", level, LEVELS)
    _state.style, _state.run_id, _state.quiet = style, run_id, quiet
    logger = logging.getLogger(_ROOT)
    logger.setLevel(level.upper())
    logger.propagate = False
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_StderrHandler())


def get_logger(name: str) -> logging.Logger:
    """The logger of this name below `agentic_diffusion`; give extra fields by `extra={...}`."""
    inside = name == _ROOT or name.startswith(f"{_ROOT}.")
    return logging.getLogger(name if inside else f"{_ROOT}.{name}")


def new_run_id() -> str:
    """A fresh run id that sorts by time: "20250131-235959-9f3a61"."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def run_id() -> str:
    """The run id that `configure` was given; empty before."""
    return _state.run_id


def say(text: str, **fields: object) -> None:
    """Tell the user one thing on stderr: the line itself, or a JSON line with the extra `fields`."""
    if _state.quiet:
        return
    if _state.style == "json":
        _write(_json_line(time.time(), "info", _ROOT, text, fields))
    else:
        _write(text)


class Progress:
    """The advance of one long task; made by `progress`."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        """Start at zero of `total` units (None: unknown)."""
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._tenth = 0
        self._drawn_at = 0.0
        self._lock = threading.Lock()

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done; may be called from any thread."""
        with self._lock:
            self.done += n
            if _state.quiet:
                return
            if _draws_bar():
                if time.monotonic() - self._drawn_at >= 0.1 or self.done == self.total:
                    self._drawn_at = time.monotonic()
                    sys.stderr.write(f"\r\x1b[2K{self._text()}")
                    sys.stderr.flush()
            elif self.total:
                tenth = min(10, 10 * self.done // self.total)
                if tenth > self._tenth:
                    self._tenth = tenth
                    say(self._text(), label=self.label, done=self.done, total=self.total, unit=self.unit)

    def _text(self) -> str:
        done, total = _amount(self.done, self.unit), self.total
        if not total:
            return f"{self.label}: {done}"
        return f"{self.label}: {100 * self.done // total} % ({done} of {_amount(total, self.unit)})"

    def _close(self) -> None:
        if self._drawn_at and _draws_bar() and not _state.quiet:
            sys.stderr.write(f"\r\x1b[2K{self._text()}\n")
            sys.stderr.flush()


@contextlib.contextmanager
def progress(label: str, total: int | None, unit: str) -> Iterator[Progress]:
    """Show the advance of a long task: a line that redraws itself in a terminal, else a line at every tenth.

    `unit` names what is counted; "B" is shown as kB, MB, GB.
    """
    shown = Progress(label, total, unit)
    try:
        yield shown
    finally:
        shown._close()


class _StderrHandler(logging.Handler):
    """Log records to the stderr of the moment, in the style of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
        extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS}
        level = record.levelname.lower()
        if _state.style == "json":
            _write(_json_line(record.created, level, record.name, message, extra))
            return
        text = " ".join([message, *(f"{key}={value}" for key, value in extra.items())])
        _write_log(level, record.name.removeprefix(f"{_ROOT}."), text)


def _write_log(level: str, name: str, text: str) -> None:
    """One log line for people: coloured in a terminal with rich, else plain."""
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.text import Text

            colour = {"debug": "dim", "info": "cyan", "warning": "yellow"}.get(level, "bold red")
            line = Text.assemble((level, colour), " ", (name, "dim"), " ", text)
            Console(stderr=True, soft_wrap=True).print(line)
            return
    _write(f"{level} {name}: {text}")


def _json_line(when: float, level: str, name: str, message: str, fields: dict[str, object]) -> str:
    """One event as a JSON object on one line; an extra field never hides a standard one."""
    stamp = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
    standard = {"time": stamp, "level": level, "run": _state.run_id, "logger": name, "message": message}
    return json.dumps(standard | {k: v for k, v in fields.items() if k not in standard}, default=str)


def _write(line: str) -> None:
    # One write a line, so that lines of several threads do not run into each other.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _draws_bar() -> bool:
    return _state.style == "human" and sys.stderr.isatty()


def _amount(count: int, unit: str) -> str:
    if unit != "B":
        return f"{count} {unit}"
    from agentic_diffusion.foundation.resources import format_size

    return format_size(count)


def _require(what: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise UsageError(f"{given!r} is not a {what}: {', '.join(allowed)} are allowed.", hint=f"Use {allowed[0]}.")
