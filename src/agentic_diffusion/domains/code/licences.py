"""Which licences training data may have: permissive ones, by their SPDX names; everything else is refused by name.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentic_diffusion.foundation.errors import UsageError

PERMISSIVE = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "EDL-1.0",
    "ISC", "MIT", "MIT-0", "PSF-2.0", "Python-2.0", "UPL-1.0", "Unlicense", "Zlib",
})  # fmt: skip
"""Licences that allow use for any purpose without asking to share alike. (SPDX files EDL-1.0 under BSD-3-Clause.)"""

OWN = "own"
"""The licence of what the user owns; it must be given by hand, no row can claim it."""

_OTHER_NAMES = {
    "apache 2.0": "Apache-2.0", "apache2": "Apache-2.0", "bsd-2": "BSD-2-Clause", "bsd-3": "BSD-3-Clause",
    "cc0": "CC0-1.0", "edl": "EDL-1.0", "edl-1.0(bsd)": "EDL-1.0", "psf": "PSF-2.0", "the unlicense": "Unlicense",
}  # fmt: skip
_BY_SMALL_LETTERS = {name.lower(): name for name in PERMISSIVE} | _OTHER_NAMES


def permitted(licence: str, *, also: Iterable[str] = ()) -> str:
    """The SPDX name of a licence that training data may have.

    Of an expression "A AND B" both must be permissive, of "A OR B" one. `also` are further names that the user allows.
    Raises UsageError that names a licence which is none of them, or says that there is none.
    """
    if not licence.strip():
        raise UsageError(
            "It names no licence, and without one nobody may use it.",
            hint='give each row a "license", or say that the data are your own: --licence own.',
        )
    known = _BY_SMALL_LETTERS | {name.lower(): name for name in also}
    choices = [_all_of(choice, known) for choice in re.split(r"\s+OR\s+", _bare(licence))]
    for choice in choices:
        if choice is not None:
            return choice
    raise UsageError(
        f"The licence {licence!r} is not one that training data may have.",
        hint="permissive ones are: " + ", ".join(sorted(PERMISSIVE)) + "; --allow-licence names another.",
    )


def _all_of(expression: str, known: dict[str, str]) -> str | None:
    """The SPDX names of "A AND B", or None where one of them is not known."""
    names = [known.get(_bare(part).lower()) for part in re.split(r"\s+AND\s+", _bare(expression))]
    return None if None in names else " AND ".join(name for name in names if name)


def _bare(expression: str) -> str:
    """An expression without blanks and brackets around all of it."""
    expression = expression.strip()
    while expression.startswith("(") and expression.endswith(")"):
        expression = expression[1:-1].strip()
    return expression
