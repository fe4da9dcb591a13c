"""Equal and nearly equal texts in a large collection, found without comparing all pairs.

Two texts are equal where their words and signs are; nearly equal where the sets of their runs of five words and signs
have a Jaccard index |A and B| / |A or B| of at least 0.8. Candidates for the second come from MinHash signatures cut
into bands (Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and Ullman, "Mining of
massive datasets", sec. 3.4), and each candidate is then compared exactly, so that no text is dropped by chance.

    P(candidate | Jaccard J) = 1 - (1 - J^4)^16: 0.9998 at J = 0.8, 0.02 at J = 0.2

Shapes: T words and signs of a text, S its distinct runs, 64 permutations.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

WORDS = re.compile(r"[A-Za-z_]\w*|\d+|[^\s\w]")
"""Words, numbers and signs, as the kept-back runs are made of them."""
RUN = 5
"""Words and signs of a run."""
NEARLY = 0.8
"""Jaccard index from which two texts are nearly equal."""
BANDS, ROWS = 16, 4
"""The signature's 64 numbers are cut into 16 bands of 4."""

Words64 = NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class DuplicateFinder:
    """Remembers texts and tells which earlier one a new text repeats."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._exact: dict[bytes, int] = {}
        self._bands: list[dict[bytes, list[int]]] = [{} for _ in range(BANDS)]
        self._runs: dict[int, Words64] = {}
        self._names: list[str] = []
        self._codes: dict[str, int] = {}
        draw = np.random.default_rng(0x5EED)  # fixed: which texts are candidates must not change from run to run
        self._multipliers = draw.integers(1, 1 << 63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._summands = draw.integers(0, 1 << 63, BANDS * ROWS, dtype=np.uint64)

    def add(self, name: str, text: str) -> tuple[str, str] | None:
        """Remember a text under a name, unless it repeats one: then ("equal" or "nearly equal", that one's name).

        A text of fewer than `RUN` words and signs is only compared for equality.
        """
        words = WORDS.findall(text)
        digest = blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._exact:
            return "equal", self._names[self._exact[digest]]
        runs = self._runs_of(words)
        bands = self._bands_of(runs) if len(runs) else []
        for place in sorted({place for at, band in enumerate(bands) for place in self._bands[at].get(band, ())}):
            if jaccard(runs, self._runs[place]) >= NEARLY:
                return "nearly equal", self._names[place]
        number = len(self._names)
        self._names.append(name)
        self._exact[digest] = number
        for at, band in enumerate(bands):
            self._bands[at].setdefault(band, []).append(number)
            self._runs[number] = runs
        return None

    def _runs_of(self, words: list[str]) -> Words64:
        """A sorted hash of every distinct run, [S]."""
        if len(words) < RUN:
            return np.empty(0, dtype=np.uint64)
        codes = np.array([self._code(word) for word in words], dtype=np.uint64)
        count = len(words) - RUN + 1
        runs = np.zeros(count, dtype=np.uint64)
        for place in range(RUN):  # a polynomial in the words' codes, modulo 2**64: numpy wraps silently
            runs = runs * _FACTOR + codes[place : place + count]
        return np.unique(runs ^ (runs >> np.uint64(29)))

    def _code(self, word: str) -> int:
        code = self._codes.get(word)
        if code is None:
            code = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
            self._codes[word] = code
        return code

    def _bands_of(self, runs: Words64) -> list[bytes]:
        """The bands of the signature: the smallest of the permuted hashes, for 64 permutations."""
        permuted = runs[:, None] * self._multipliers + self._summands
        permuted ^= permuted >> np.uint64(32)
        signature = (permuted * _FACTOR).min(axis=0)
        return [signature[at * ROWS : (at + 1) * ROWS].tobytes() for at in range(BANDS)]


def jaccard(left: Words64, right: Words64) -> float:
    """|A and B| / |A or B| of two sorted sets without repetitions; 1 for two empty ones."""
    if not len(left) and not len(right):
        return 1.0
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)
