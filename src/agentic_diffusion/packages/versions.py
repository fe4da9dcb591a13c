"""Versions of Python packages, put in order (PEP 440).

    epoch ! release . pre . post . dev + local          1!2.0rc1.post2.dev3+cpu

Standard library only.
"""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d*))?"
    r"(?:(?:[-_.]?(?:post|rev|r)[-_.]?|-)(?P<post>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_PRE = {"alpha": "a", "a": "a", "beta": "b", "b": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc"}
_LAST = "~"
"""Sorts after every letter: a release comes after its pre-releases."""

Key = tuple[int, tuple[int, ...], tuple[str, int], int, tuple[int, int], tuple[tuple[int, int, str], ...]]


def key(version: str) -> Key:
    """What versions are sorted by; a text that is no version sorts before all that are."""
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        return (-1, (), ("", 0), 0, (0, 0), ((0, 0, version),))
    release = tuple(int(part) for part in match["release"].split("."))
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    post = -1 if match["post"] is None else int(match["post"] or 0)
    dev = (0, int(match["dev_number"] or 0)) if match["dev"] else (1, 0)
    if match["pre"]:
        pre = (_PRE[match["pre"].lower()], int(match["pre_number"] or 0))
    else:
        # 1.0.dev1 comes before 1.0a1, 1.0 after 1.0rc1
        pre = ("", 0) if match["dev"] and match["post"] is None else (_LAST, 0)
    local = tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.split(r"[-_.]", (match["local"] or "").lower())
        if part
    )
    return (int(match["epoch"] or 0), release, pre, post, dev, local)


def is_version(text: str) -> bool:
    """Whether a text is a version."""
    return _VERSION.fullmatch(text.strip()) is not None


def leap(old: str, new: str) -> str:
    """How far apart two versions are, in one word: "major", "minor" or "patch"."""
    before, after = key(old), key(new)
    if before[0] != after[0]:
        return "major"
    old_release, new_release = (*before[1], 0, 0), (*after[1], 0, 0)
    return next(
        (word for word, a, b in zip(("major", "minor"), old_release, new_release, strict=False) if a != b), "patch"
    )
