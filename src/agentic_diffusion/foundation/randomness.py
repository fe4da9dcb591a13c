"""Randomness that comes in by the door: stateless numbers and named child seeds.

A number is a pure function of (seed, stream, counter), so a sample's random stream does not depend on the batch that it
travels in, nor on what was drawn before it. Nothing here reads or writes a global generator.

    seed      what the user gives; an integer in [0, 2**64)
    stream    which sample, in [0, 2**64)
    counter   which draw within the stream, an integer array of any shape

The hash is splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", fig. 17).
Importable with the standard library alone; numpy is loaded by `uniforms` only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BITS = 64
_WORD = (1 << _BITS) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLY_1 = 0xBF58476D1CE4E5B9
_MULTIPLY_2 = 0x94D049BB133111EB


def uniforms(seed: int, stream: int, counter: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one for each entry of `counter`, of the same shape.

    The same (seed, stream, counter) gives the same number on every machine. Equal 53-bit fractions are the only
    collisions. Raises UsageError if seed or stream lies outside [0, 2**64).
    """
    import numpy as np

    key = _mix((_mix(_word("seed", seed)) ^ _word("stream", stream)) + _GOLDEN)
    # Unsigned arrays wrap silently, which is the arithmetic modulo 2**64 that the hash asks for.
    x = (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MULTIPLY_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MULTIPLY_2)
    x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def derive(seed: int, *names: str | int) -> int:
    """A child seed in [0, 2**63) for the path `names` below `seed`.

    Different paths give unrelated children: ("a", "b") is not ("ab",), and 1 is not "1". The value fits a signed 64-bit
    integer, which is what torch and databases take.
    """
    digest = hashlib.blake2b(str(_word("seed", seed)).encode(), digest_size=8, person=b"agd-seed")
    for name in names:
        kind, text = ("i", str(name)) if isinstance(name, int) else ("s", name)
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"|{kind}{len(data)}:".encode() + data)
    return int.from_bytes(digest.digest(), "big") >> 1


def _mix(x: int) -> int:
    """The output function of splitmix64 on one 64-bit word."""
    x &= _WORD
    x = ((x ^ (x >> 30)) * _MULTIPLY_1) & _WORD
    x = ((x ^ (x >> 27)) * _MULTIPLY_2) & _WORD
    return x ^ (x >> 31)


def _word(what: str, value: int) -> int:
    """`value` if it is a 64-bit word, else a UsageError that names it."""
    if not 0 <= value <= _WORD:
        raise UsageError(
            f"The {what} {value} is out of range: a {what} is a whole number from 0 to 2**64 - 1.",
            hint=f"Give a {what} such as 0 or 1234.",
        )
    return value
