"""Randomness that comes in by the door: stateless numbers and named child seeds.

A number is a pure function of (seed, stream, counter), so a sample's random stream does not depend on the batch that it
travels in, nor on what was drawn before it. Nothing here reads or writes a global generator.

    seed      what the user gives; an integer in [0, 2**64)
    stream    which sample, in [0, 2**64)
    counter   which draw within the stream, an integer array of any shape

The hash is splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", fig. 17).
Importable with the standard library alone; numpy is loaded by `uniforms` and `normals` only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    return _uniforms(np.uint64(_key(seed, stream)), np.asarray(counter).astype(np.uint64))


def normals(seed: int, streams: Sequence[int], counter: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Standard normal numbers [S, *counter]: one for each stream and entry of `counter`; Box and Muller 1958.

    A number depends on (seed, stream, counter) alone, up to the last digit that a machine's logarithm and cosine give.
    It is made of the uniform numbers at 2 counter and 2 counter + 1: derive another seed for uniform numbers beside it.
    Counters lie in [0, 2**63). Raises UsageError if seed or a stream lies outside [0, 2**64).
    """
    import numpy as np

    keys = np.array([_key(seed, stream) for stream in streams], dtype=np.uint64)
    pairs = np.asarray(counter).astype(np.uint64) * np.uint64(2)
    keys = keys.reshape(-1, *[1] * pairs.ndim)
    radius = np.sqrt(-2 * np.log1p(-_uniforms(keys, pairs)))
    return np.asarray(radius * np.cos(2 * np.pi * _uniforms(keys, pairs + np.uint64(1))))


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


def _key(seed: int, stream: int) -> int:
    """The word that stands for (seed, stream)."""
    return _mix((_mix(_word("seed", seed)) ^ _word("stream", stream)) + _GOLDEN)


def _uniforms(key: Any, counter: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The hash of key and counter, which broadcast, as fractions of 53 bits."""
    import numpy as np

    # Unsigned arrays wrap silently, which is the arithmetic modulo 2**64 that the hash asks for.
    x = (counter + np.uint64(1)) * np.uint64(_GOLDEN) + key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MULTIPLY_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MULTIPLY_2)
    x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(11)).astype(np.float64) * 2.0**-53)


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
