"""What tests fail for that no change of a program mends: a module or package that is not here.

Told by what was said of the failing cases, and only where all of them say the same. A name that is nearly that of a
module that is here is taken for a mistake in the program.
"""

from __future__ import annotations

import difflib
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentic_diffusion.testing.verdicts import Verdict

_SAYINGS = (
    re.compile(r"\bNo module named '([\w.]+)'"),
    re.compile(r"\bCannot find (?:module|package) '([^']+)'"),
    re.compile(r"\bpackage ([\w.]+) does not exist"),
    re.compile(r"\bcould not import (\S+) \("),
    re.compile(r"\bpackage (\S+) is not in (?:GOROOT|std)"),
)
_ALIKE = 0.8
"""How alike two names are of which one is taken for the other misspelt."""
_USUAL = {
    "javascript": ("assert", "util", "fs", "path", "events", "perf_hooks", "crypto", "os"),
    "typescript": ("assert", "util", "fs", "path", "events", "perf_hooks", "crypto", "os"),
    "java": ("java.util", "java.util.function", "java.util.stream", "java.io", "java.math", "java.time", "java.text"),
    "go": ("fmt", "strings", "strconv", "sort", "math", "errors", "unicode", "bytes", "regexp", "math/rand", "time"),
}


def missing_module(verdict: Verdict, language: str) -> str | None:
    """The module for whose absence every failing case fails; None where there is no such one."""
    bad = [outcome for outcome in verdict.outcomes if outcome.status != "passed"]
    names = {_named(outcome.message) for outcome in bad}
    name = names.pop() if len(names) == 1 else None
    if name is None or name.partition(".")[0] in {"solution", ""} or name.startswith("."):
        return None
    known = sys.stdlib_module_names if language == "python" else _USUAL.get(language, ())
    asked = name.partition(".")[0] if language == "python" else name
    return None if difflib.get_close_matches(asked, known, n=1, cutoff=_ALIKE) else name


def _named(message: str) -> str | None:
    found = next((match for saying in _SAYINGS if (match := saying.search(message))), None)
    return found[1] if found else None
