"""Continuous batching: rows of one mode and one block length join and leave a running batch between forwards.

    PromptCache     keys and values of prompts that were read; a new prompt goes on from the longest common beginning
    Reading         a prompt on its way into the cache, a piece a call, so that a long one does not hold up the others
    RunningBatch    the rows in flight, each with its own settings, stream, constraint and rule of endings

A row's text is that of `BlockDecoder.decode` alone: its numbers depend on (seed, stream, position, step) of its own.
B rows in flight, S slots a row, T = S places of a text
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.block_packing import pack_clean
from agentic_diffusion.diffusion.block_state import TENSORS, Rows, Sample, StepView, view_of
from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.diffusion.backbones.llama import Cache, Llama, Packing
    from agentic_diffusion.diffusion.block_decoder import Mode
    from agentic_diffusion.diffusion.constraint import RowConstraint

    Ends = Callable[[Int[Tensor, "B T"]], Bool[Tensor, "B T"]]


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """One text that is to be gone on from."""

    prompt: Sequence[int]
    """Its tokens; at least one."""
    settings: DecodeSettings
    """How it is denoised; mode and block are those of the batch, its quorum says nothing here."""
    stream: int = 0
    """Its random stream."""
    constraint: RowConstraint | None = None
    """What holds its tokens."""
    ends: Ends | None = None
    """Whether an answer ends before each token of a row, as in `BlockDecoder.decode`."""


@dataclass(frozen=True)
class Ended:
    """A row that has left the batch."""

    sample: Sample
    """Its text."""
    steps: int
    """Forwards that it took part in."""


@dataclass(frozen=True)
class Stepped:
    """What one forward did."""

    keys: list[int]
    """The rows that took part."""
    view: StepView
    """Them, in that order."""
    ended: dict[int, Ended]
    """Those that have left."""


class RowPool:
    """Keys and values of many rows in one piece of memory; the first ones are in flight, and none is moved to join."""

    def __init__(self, parent: Llama, *, rows: int, slots: int) -> None:
        """Reserve zeros; memory that no row has used is not taken from the machine."""
        self.rows, self.slots = rows, slots
        self._layers = parent.shape.layers
        size = (self._layers, rows * slots, parent.shape.kv_heads * parent.shape.head)
        self.keys, self.values = (_unused_zeros(size, parent.dtype, parent.device) for _ in range(2))

    def exchange(
        self, index: int, packing: Packing, key: Float[Tensor, "N kv"], value: Float[Tensor, "N kv"]
    ) -> tuple[Float[Tensor, "B S kv"], Float[Tensor, "B S kv"]]:
        """See `Memory`: write this forward's keys and values; return what the rows in flight may read."""
        written = packing.rows * self.slots + packing.slots
        self.keys[index].index_copy_(0, written, key)
        self.values[index].index_copy_(0, written, value)
        rows, _, seen = packing.allowed.shape
        shape = (self.rows, self.slots, -1)
        return self.keys[index].view(shape)[:rows, :seen], self.values[index].view(shape)[:rows, :seen]

    def fill(self, row: int, cache: Cache, length: int) -> None:
        """Copy the first `length` slots of a cache of one row into `row`."""
        for own, other in ((self.keys, cache.keys), (self.values, cache.values)):
            self._by_row(own)[:, row, :length] = other[:, :length]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` slots of a row over another one."""
        for own in (self.keys, self.values):
            self._by_row(own)[:, target, :length] = self._by_row(own)[:, source, :length]

    def _by_row(self, numbers: Tensor) -> Tensor:
        return numbers.view(self._layers, self.rows, self.slots, -1)


class Reading:
    """A prompt that is being read; the keys and values of all but its last token are wanted."""

    def __init__(self, parent: Llama, prompt: Sequence[int], cache: Cache, read: int) -> None:
        """The first `read` tokens are in the cache already."""
        self._parent, self.prompt, self.cache, self.read = parent, list(prompt), cache, read

    @property
    def over(self) -> bool:
        """Whether the prompt is read."""
        return self.read >= len(self.prompt) - 1

    @torch.inference_mode()
    def advance(self, most: int) -> None:
        """Read up to `most` more tokens in one forward."""
        length = min(most, len(self.prompt) - 1 - self.read)
        if length < 1:
            return
        packing, _ = pack_clean(torch.tensor([self.read]), torch.tensor([length]))
        tokens = torch.tensor(self.prompt[self.read : self.read + length])
        self._parent.forward(self._parent.embed(tokens), packing, self.cache)
        self.read += length


class PromptCache:
    """Prompts that were read, the least recently used first to go."""

    def __init__(self, parent: Llama, *, most_bytes: int) -> None:
        """Hold at most so many bytes of keys and values; the newest prompt is held in any case."""
        self._parent, self._most = parent, most_bytes
        self._kept: OrderedDict[tuple[int, ...], Cache] = OrderedDict()
        self.reused = 0
        """Tokens that were not read again."""

    @torch.inference_mode()
    def open(self, prompt: Sequence[int]) -> Reading:
        """Begin to read a prompt, behind what it has in common with one that is kept."""
        wanted = len(prompt) - 1
        best, common = None, 0
        for known in self._kept:
            shared = min(_common(known, prompt), wanted, len(known) - 1)
            if shared > common:
                best, common = known, shared
        cache = self._parent.new_cache(rows=1, slots=max(wanted, 1))
        if best is not None:
            self._kept.move_to_end(best)
            cache.keys[:, :common] = self._kept[best].keys[:, :common]
            cache.values[:, :common] = self._kept[best].values[:, :common]
            self.reused += common
        return Reading(self._parent, prompt, cache, common)

    def keep(self, reading: Reading) -> None:
        """Keep a prompt that was read."""
        self._kept[tuple(reading.prompt)] = reading.cache
        self._kept.move_to_end(tuple(reading.prompt))
        while len(self._kept) > 1 and self.held_bytes > self._most:
            self._kept.popitem(last=False)

    @property
    def held_bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(2 * cache.keys.nbytes for cache in self._kept.values())


class RunningBatch:
    """The rows in flight of one mode and one block length."""

    def __init__(
        self, parent: Llama, adapter: Adapter | None, *, mode: Mode, block: int, rows: int, slots: int
    ) -> None:
        """Room for `rows` texts; prompt, answer and the open block of each take at most `slots` places."""
        self._decoder = BlockDecoder(parent, adapter, DecodeSettings(mode=mode, block=block))
        self._pool = RowPool(parent, rows=rows, slots=slots)
        self._rows: Rows | None = None
        self._ends: dict[int, Ends] = {}
        self._cut: set[int] = set()
        self._numbers = itertools.count()
        self._margin = 3 * block + (block * block if mode == "verify" else 0)

    def __len__(self) -> int:
        """Rows in flight."""
        return 0 if self._rows is None else len(self._rows.keys)

    @property
    def free(self) -> int:
        """Rows that may still join."""
        return self._pool.rows - len(self)

    def check(self, row: NewRow) -> None:
        """UsageError where a row could never join."""
        own = self._decoder.settings
        if (row.settings.mode, row.settings.block) != (own.mode, own.block):
            raise UsageError(
                f"A row of mode {row.settings.mode!r} and block {row.settings.block} does not fit a batch of mode "
                f"{own.mode!r} and block {own.block}.", hint="give it to a batch of its kind.",
            )  # fmt: skip
        self.check_length(row, self._pool.slots - self._margin)

    @staticmethod
    def check_length(row: NewRow, most: int) -> None:
        """UsageError where prompt and answer of a row have no token, or more than `most` together."""
        length, answer = len(row.prompt), row.settings.max_new_tokens
        if not length:
            raise UsageError("There is nothing to continue: a prompt has no token.", hint="give a prompt.")
        if length + answer > most:
            raise UsageError(
                f"The prompt has {length} tokens and the answer may have {answer}; together at most {most} fit.",
                hint="shorten the prompt, or ask for fewer new tokens.",
            )

    @torch.inference_mode()
    def join(self, row: NewRow, reading: Reading) -> int:
        """Take a row in whose prompt was read; its key. UsageError where it does not fit or no row is free."""
        self.check(row)
        if not self.free:
            raise UsageError("The batch is full.", hint="wait for a row to leave.")
        key = next(self._numbers)
        self._pool.fill(len(self), reading.cache, len(row.prompt) - 1)
        if row.ends is not None:
            self._ends[key] = row.ends
        made = self._made(key, row)
        if self._rows is None:
            self._rows = made
            return key
        rows = self._rows
        rows.keys = np.concatenate((rows.keys, made.keys))
        rows.streams = np.concatenate((rows.streams, made.streams))
        rows.settings = [*rows.settings, row.settings]
        rows.constraints |= made.constraints
        for name in TENSORS:
            setattr(rows, name, torch.cat((getattr(rows, name), getattr(made, name))))
        return key

    def cut(self, key: int) -> None:
        """Let a row end with the next forward, as if it had reached its longest answer."""
        self._cut.add(key)

    @torch.inference_mode()
    def drop(self, key: int) -> None:
        """Let a row leave at once, and its text be lost; nothing where it has left."""
        if self._rows is not None and key in self._rows.keys:
            self._leave([int(np.flatnonzero(self._rows.keys == key)[0])])

    @torch.inference_mode()
    def step(self) -> Stepped:
        """One forward of all rows; those that ended have left. Nothing happens without a row."""
        rows = self._rows
        if rows is None:
            return Stepped([], StepView([], [], [], []), {})
        self._decoder.forward(rows, self._pool)
        keys = [int(key) for key in rows.keys]
        view = view_of(rows)
        cut = torch.tensor([key in self._cut for key in keys], device=rows.known.device)
        samples = self._decoder.close(rows, self._ends_before, cut=cut)
        steps = dict(zip(keys, rows.steps.tolist(), strict=True))
        ended = {key: Ended(sample, steps[key]) for key, sample in samples.items()}
        self._leave([place for place, key in enumerate(keys) if key in ended])
        return Stepped(keys, view, ended)

    def _made(self, key: int, row: NewRow) -> Rows:
        """The state of one row."""
        block, slots, device = self._decoder.settings.block, self._pool.slots, self._decoder.parent.device
        tokens = torch.zeros(1, slots, dtype=torch.long, device=device)
        tokens[0, : len(row.prompt)] = torch.tensor(list(row.prompt), device=device)
        known = torch.tensor([len(row.prompt)], device=device)
        return Rows(
            keys=np.array([key]),
            streams=np.array([row.stream], dtype=np.int64),
            settings=[row.settings],
            tokens=tokens,
            known=known,
            cached=known - 1,
            prompt=known.clone(),
            window=torch.zeros(1, block, dtype=torch.long, device=device),
            is_masked=torch.ones(1, block, dtype=torch.bool, device=device),
            shown=torch.zeros(1, block, device=device),
            probability=torch.zeros(1, slots, device=device),
            drafts=torch.zeros_like(known),
            done=torch.zeros(1, dtype=torch.bool, device=device),
            steps=torch.zeros_like(known),
            constraints={} if row.constraint is None else {key: row.constraint},
        )

    def _ends_before(self, tokens: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        """Every row's own rule, on what is known of it."""
        assert self._rows is not None
        found = torch.zeros_like(tokens, dtype=torch.bool)
        for row, (key, known) in enumerate(zip(self._rows.keys.tolist(), self._rows.known.tolist(), strict=True)):
            if key in self._ends:
                found[row : row + 1, :known] = self._ends[key](tokens[row : row + 1, :known])
        return found

    def _leave(self, places: list[int]) -> None:
        """Rows leave; the last ones move into their places."""
        rows = self._rows
        if rows is None or not places:
            return
        order = list(range(len(rows.keys)))
        for place in sorted(places, reverse=True):
            key = int(rows.keys[order[place]])
            self._ends.pop(key, None)
            self._cut.discard(key)
            rows.constraints.pop(key, None)
            rows.stuck.discard(key)
            last = order.pop()
            if place < len(order):
                self._pool.move(len(order), place, int(rows.known[last]))
                order[place] = last
        if order:
            rows.keep(torch.tensor(order, device=rows.known.device))
        else:
            self._rows = None


def _unused_zeros(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on a processor, pages that the system gives when they are first written."""
    if device.type != "cpu":
        return torch.zeros(size, dtype=dtype, device=device)
    count = int(np.prod(size)) * dtype.itemsize
    return torch.from_numpy(np.zeros(count, dtype=np.uint8)).view(dtype).view(size)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of leading tokens that two prompts share."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(np.asarray(one[:length]) != np.asarray(other[:length]))
    return int(differ[0]) if len(differ) else length
