"""Extensions by kind and name, found through the entry points of installed distributions.

    kind              entry-point group
    languages         agentic_diffusion.languages
    strategies        agentic_diffusion.strategies         (adaptation)
    denoisers         agentic_diffusion.denoisers          (denoisers and backbones)
    evidence          agentic_diffusion.evidence           (what tells that a part of a program is wrong)
    rewards           agentic_diffusion.rewards
    test_strategies   agentic_diffusion.test_strategies

Built-ins are entry points of this distribution and take the same road. A name that two distributions offer belongs to
this one if it is among them, else to the first in alphabetical order; a warning says so. Standard library only.
"""

from __future__ import annotations

import difflib
import os
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.events import get_logger

KINDS = ("denoisers", "evidence", "languages", "rewards", "strategies", "test_strategies")
_OURS = "agentic-diffusion"
_logger = get_logger(__name__)


def discover(kind: str) -> dict[str, EntryPoint]:
    """All extensions of a kind by name, sorted, none of them imported; raises UsageError for an unknown kind."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of extension: {', '.join(KINDS)} are.", hint="Use one of these kinds.")
    return dict(_found(kind, tuple(map(_changed, sys.path))))


def _changed(folder: str) -> tuple[str, int]:
    """A folder of the import path and when something was last installed into it; 0 where it is not there."""
    try:
        return folder, Path(folder or os.curdir).stat().st_mtime_ns
    except OSError:
        return folder, 0


@lru_cache(maxsize=64)
def _found(kind: str, _path: tuple[tuple[str, int], ...]) -> dict[str, EntryPoint]:
    """What the import path offers; read anew only when it changed, since reading all metadata takes milliseconds."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=f"agentic_diffusion.{kind}"), key=_rank):
        kept = found.setdefault(point.name, point)
        # One installation can be listed twice (editable and on the path); the same target is no conflict.
        if kept.value != point.value:
            _logger.warning(
                "two distributions offer %s %r: %s is used, %s is not",
                *(kind, point.name, _distribution(kept), _distribution(point)),
            )
    return dict(sorted(found.items()))


def load(kind: str, name: str) -> Any:
    """Import and return the extension; UsageError for an unknown name, SetupError if its module does not import."""
    found = discover(kind)
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        known = ", ".join(found) or "none"
        raise UsageError(
            f"There is no extension {name!r} among the {kind}; installed are: {known}.",
            hint=f"Did you mean {close[0]}?"
            if close
            else f"Install a package that offers it for agentic_diffusion.{kind}.",
        )
    try:
        return found[name].load()
    except (ImportError, AttributeError) as error:
        raise SetupError(
            f"The extension {name!r} of {_distribution(found[name])} cannot be loaded: {error}.",
            hint="Update or uninstall that distribution.",
        ) from error


def _rank(point: EntryPoint) -> tuple[bool, str]:
    distribution = _distribution(point)
    return distribution != _OURS, distribution


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unnamed distribution"
