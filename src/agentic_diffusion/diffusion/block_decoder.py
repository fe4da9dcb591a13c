"""Decoding with a block denoiser: three modes over one packed forward.

denoise   a block of masked tokens after the known text; every forward commits the first of them and every other one
          whose confidence reaches the threshold; the window then moves past what is known without a gap
verify    the denoiser drafts, the parent checks the draft in the same forward that drafts the next block; the text
          is the parent's, token for token
ar        block size 1: the parent itself

B rows (samples), L prompt tokens, K block length, V vocabulary; n known tokens of a row, prompt included
Logits are shifted by one. All random numbers are functions of (seed, sample, position), so a sample's text does not
depend on the batch that it is decoded in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from agentic_diffusion.diffusion.block_packing import pack_block, pack_clean, pack_verify
from agentic_diffusion.diffusion.block_state import DecodeCounts, Rows, Sample, StepView, view_of
from agentic_diffusion.diffusion.enforcement import draws, enforce, sample_rows
from agentic_diffusion.foundation.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.diffusion.backbones.llama import Cache, Llama, Memory
    from agentic_diffusion.diffusion.constraint import RowConstraint

Mode = Literal["denoise", "verify", "ar"]
MODES: tuple[Mode, ...] = ("denoise", "verify", "ar")


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """How blocks are denoised."""

    mode: Mode = "denoise"
    """Who commits tokens: see the module's table."""
    block: int = 4
    """Noised positions K of a forward; at least 2, in mode `denoise` at least 4."""
    threshold: float = 0.9
    """Confidence in (0, 1] at which a token beyond the first is committed in the same forward."""
    temperature: float = 0.0
    """0 is greedy; otherwise logits are divided by it."""
    top_p: float = 1.0
    """Tokens are drawn from the smallest set that holds this probability."""
    max_new_tokens: int = 256
    """Longest answer; the text that would be longer is cut and not called finished."""
    quorum: float = 1.0
    """When this share of a batch has ended, the others are cut: a batch is as slow as its longest row."""
    stop_tokens: tuple[int, ...] = ()
    """Tokens that end the text besides the model's own end-of-text, such as a closing code fence."""
    seed: int = 0
    """Seed of all samples' streams."""

    def __post_init__(self) -> None:
        """Check ranges."""
        lowest = {"denoise": 4, "verify": 2, "ar": 1}.get(self.mode)
        if lowest is None:
            raise ConfigError(f"The mode {self.mode!r} does not exist.", hint=f"use one of {', '.join(MODES)}.")
        if not lowest <= self.block <= 64:
            raise ConfigError(
                f"The block length {self.block} does not fit mode {self.mode!r}.", hint=f"use {lowest} to 64."
            )
        if not 0 < self.threshold <= 1 or not 0 < self.top_p <= 1 or not 0 <= self.temperature <= 10:
            raise ConfigError(
                f"threshold {self.threshold}, top_p {self.top_p} or temperature {self.temperature} is out of range.",
                hint="threshold and top_p lie in (0, 1], temperature in [0, 10].",
            )
        if not 0 < self.quorum <= 1:
            raise ConfigError(f"The quorum {self.quorum} is no share of a batch.", hint="use a number in (0, 1].")
        if self.max_new_tokens < 1:
            raise ConfigError(
                f"max_new_tokens is {self.max_new_tokens}; at least one token is needed.", hint="use 64 to 512."
            )
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"The seed {self.seed} is out of range.", hint="use a whole number from 0 to 2**64 - 1.")


class BlockDecoder:
    """Decodes a batch of samples with a parent and, unless the mode is `ar`, its adapter."""

    def __init__(self, parent: Llama, adapter: Adapter | None, settings: DecodeSettings) -> None:
        """Hold the networks and the settings; modes other than `ar` need an adapter."""
        if adapter is None and settings.mode != "ar":
            raise ConfigError(
                f"The mode {settings.mode!r} needs an adapter.", hint="use --mode ar, or load an adapter."
            )
        self.parent, self.adapter, self.settings = parent, adapter, settings
        self.counts = DecodeCounts()

    @torch.inference_mode()
    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        streams: Sequence[int],
        *,
        observe: Callable[[StepView], None] | None = None,
        stop: Callable[[], bool] | None = None,
        ends: Callable[[Int[Tensor, "B T"]], Bool[Tensor, "B T"]] | None = None,
        constraints: Sequence[RowConstraint | None] | None = None,
    ) -> list[Sample]:
        """Continue every prompt (token ids, one list a sample) and return the samples in that order.

        `observe` is called after each forward; when `stop` answers True the samples are cut where they are. `ends` says
        of every token of a text whether an answer ends before it, as it does before a stop token. `constraints`, one a
        prompt, let no token pass that they forbid, and complete the samples that are cut.
        Raises UsageError when a prompt is empty or does not fit the model's context.
        """
        self._check(prompts, streams)
        rows, cache = self._open(prompts, streams)
        held = constraints or [None] * len(prompts)
        rows.constraints = {row: c for row, c in enumerate(held) if c is not None}
        samples: dict[int, Sample] = {}
        while not rows.done.all():
            self.forward(rows, cache)
            cut = (stop is not None and stop()) or len(samples) >= self.settings.quorum * len(prompts)
            if observe is not None:
                observe(view_of(rows))
            samples |= self.close(rows, ends, cut=cut)
            # A cache without a row is a copy of the others, so finished rows leave in groups.
            if rows.done.sum() * 3 >= len(rows.done) and not rows.done.all():
                keep = (~rows.done).nonzero()[:, 0]
                rows.keep(keep)
                cache = cache.keep_rows(keep)
        return [samples[key] for key in sorted(samples)]

    def _check(self, prompts: Sequence[Sequence[int]], streams: Sequence[int]) -> None:
        if len(prompts) != len(streams) or len(set(streams)) != len(streams):
            raise UsageError("Every prompt needs a stream of its own.", hint="hand over distinct stream numbers.")
        longest = max((len(prompt) for prompt in prompts), default=0)
        if not prompts or min(len(prompt) for prompt in prompts) == 0:
            raise UsageError("There is nothing to continue: a prompt has no token.", hint="give a prompt.")
        if longest + self.settings.max_new_tokens > self.parent.shape.context:
            raise UsageError(
                f"The prompt has {longest} tokens and the answer may have {self.settings.max_new_tokens}; "
                f"the model's context holds {self.parent.shape.context}.",
                hint="shorten the prompt or lower --max-new-tokens.",
            )

    def _open(self, prompts: Sequence[Sequence[int]], streams: Sequence[int]) -> tuple[Rows, Cache]:
        """Lay out the rows and run the common beginning of all prompts once."""
        block, count = self.settings.block, len(prompts)
        device = self.parent.device
        longest = max(len(prompt) for prompt in prompts)
        # A row ends up to a block behind its limit and stays in the batch for a while; mode `verify` then still lays
        # out a draft and the block that follows it.
        width = longest + self.settings.max_new_tokens + 3 * block
        tokens = torch.zeros(count, width, dtype=torch.long, device=device)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = torch.tensor(prompt, device=device)
        known = torch.tensor([len(prompt) for prompt in prompts], device=device)
        common = min(_common_prefix(prompts), int(known.min()) - 1)
        slots = width + (block * block if self.settings.mode == "verify" else 0)
        cache = self.parent.new_cache(rows=1, slots=slots)
        if common:
            packing, _ = pack_clean(torch.zeros(1, dtype=torch.long, device=device), known.new_full((1,), common))
            self.parent.forward(self.parent.embed(tokens[0, :common]), packing, cache)
            self.counts.forwards += 1
        cache = cache.repeat_row(common, count)
        rows = Rows(
            keys=np.arange(count),
            streams=np.asarray(streams, dtype=np.int64),
            settings=[self.settings] * count,
            tokens=tokens,
            known=known,
            cached=torch.full_like(known, common),
            prompt=known.clone(),
            window=torch.zeros(count, block, dtype=torch.long, device=device),
            is_masked=torch.ones(count, block, dtype=torch.bool, device=device),
            shown=torch.zeros(count, block, device=device),
            probability=torch.zeros(count, width, device=device),
            drafts=torch.zeros_like(known),
            done=torch.zeros(count, dtype=torch.bool, device=device),
            steps=torch.zeros_like(known),
        )
        if self.settings.mode == "verify":
            self._prefill_rest(rows, cache)
        return rows, cache

    def _prefill_rest(self, rows: Rows, cache: Memory) -> None:
        """Mode `verify` wants all but the last known token cached."""
        length = rows.known - 1 - rows.cached
        if int(length.max()) == 0:
            return
        packing, clean = pack_clean(rows.cached, length)
        self.parent.forward(self.parent.embed(rows.tokens[clean.rows, clean.positions]), packing, cache)
        self.counts.forwards += 1
        rows.cached = rows.known - 1

    def forward(self, rows: Rows, cache: Memory) -> None:
        """One forward of all rows, whose keys and values are in `cache`; every row that is not done gains a token."""
        self.counts.forwards += 1
        self.counts.row_forwards += int((~rows.done).sum())
        known, cached = rows.known, rows.cached
        step = {"denoise": self._denoise, "verify": self._verify, "ar": self._ar}[self.settings.mode]
        step(rows, cache)
        rows.known = torch.where(rows.done, known, rows.known)
        rows.cached = torch.where(rows.done, cached, rows.cached)
        rows.steps = rows.steps + 1

    def _ar(self, rows: Rows, cache: Memory) -> None:
        """One clean token a row; the parent's own next token."""
        length = rows.known - rows.cached
        packing, clean = pack_clean(rows.cached, length)
        hidden = self.parent.forward(self.parent.embed(rows.tokens[clean.rows, clean.positions]), packing, cache)
        last = length.cumsum(0) - 1
        logits = self.parent.logits(hidden[last])[:, None]
        chosen, confidence = self._draw(logits, rows, rows.known[:, None])
        self._enforce(rows, chosen, confidence, torch.ones_like(rows.known), logits=logits[:, 0])
        at = torch.arange(len(rows.streams), device=rows.known.device)
        rows.tokens[at, rows.known] = chosen[:, 0]
        rows.probability[at, rows.known] = confidence[:, 0]
        rows.cached = rows.known
        rows.known = rows.known + 1

    def _denoise(self, rows: Rows, cache: Memory) -> None:
        """One reverse step of every row's open block; then the window moves past the gapless part."""
        assert self.adapter is not None
        block, count = self.settings.block, len(rows.streams)
        packing, clean = pack_block(rows.known, rows.cached, block)
        last = rows.tokens.gather(1, (rows.known - 1)[:, None])
        inputs = torch.cat((last, rows.window[:, :-1]), dim=1)
        hidden_mask = torch.cat((torch.zeros_like(rows.is_masked[:, :1]), rows.is_masked[:, :-1]), dim=1)
        noised = torch.where(
            hidden_mask[..., None], self.adapter.mask_embedding.to(self.parent.dtype), self.parent.embed(inputs)
        )
        clean_tokens = rows.tokens[clean.rows, clean.positions]
        packed = torch.cat((noised.flatten(0, 1), self.parent.embed(clean_tokens)))
        hidden = self.parent.forward(packed, packing, cache, self.adapter)
        rows.cached = rows.known - 1
        logits = self.parent.logits(hidden[: count * block]).view(count, block, -1)
        places = rows.known[:, None] + torch.arange(block, device=rows.known.device)
        drawn, confidence = self._draw(logits, rows, places, rows.steps)
        commits = rows.is_masked & (confidence >= rows.numbers("threshold")[:, None])
        commits[:, 0] |= rows.is_masked[:, 0]
        rows.window = torch.where(commits, drawn, rows.window)
        rows.shown = torch.where(rows.is_masked, confidence, rows.shown)
        rows.is_masked = rows.is_masked & ~commits
        gapless = (~rows.is_masked).long().cumprod(1).sum(1)
        kept = self._enforce(rows, rows.window, rows.shown, gapless, logits=logits[:, 0], steps=rows.steps)
        rows.is_masked |= (torch.arange(block, device=rows.known.device) >= kept[:, None]) & (kept < gapless)[:, None]
        self._advance(rows)

    def _advance(self, rows: Rows) -> None:
        """Move what is known without a gap out of the window into the text."""
        block = self.settings.block
        gapless = (~rows.is_masked).long().cumprod(1).sum(1)
        places = torch.arange(block, device=rows.known.device)
        at = rows.known[:, None] + places
        ready = places < gapless[:, None]
        rows.tokens.scatter_(1, at, torch.where(ready, rows.window, rows.tokens.gather(1, at)))
        rows.probability.scatter_(1, at, torch.where(ready, rows.shown, rows.probability.gather(1, at)))
        rows.known = rows.known + gapless
        source = places + gapless[:, None]
        inside = source < block
        source = source.clamp(max=block - 1)
        rows.window = rows.window.gather(1, source)
        rows.shown = torch.where(inside, rows.shown.gather(1, source), 0.0)
        rows.is_masked = torch.where(inside, rows.is_masked.gather(1, source), True)

    def _verify(self, rows: Rows, cache: Memory) -> None:
        """The parent checks the draft; the branch that fits the number of accepted drafts gives the next draft."""
        assert self.adapter is not None
        block, count = self.settings.block, len(rows.streams)
        at = torch.arange(count, device=rows.known.device)
        scratch = int(rows.known.max()) + block
        text = rows.tokens.scatter(1, rows.known[:, None] + torch.arange(block, device=rows.known.device), rows.window)
        packing, noised, clean = pack_verify(rows.known, rows.drafts, block, scratch)
        noised_inputs = self.parent.embed(text[noised.rows, noised.positions])
        masked = (noised.offsets % block != 0)[:, None]
        noised_inputs = torch.where(masked, self.adapter.mask_embedding.to(self.parent.dtype), noised_inputs)
        packed = torch.cat((noised_inputs, self.parent.embed(text[clean.rows, clean.positions])))
        hidden = self.parent.forward(packed, packing, cache, self.adapter)
        most = int(rows.drafts.max()) + 1
        states = hidden.new_zeros(count, most, hidden.shape[1])
        states[clean.rows, clean.offsets] = hidden[len(noised.rows) :]
        places = rows.known[:, None] + torch.arange(most, device=rows.known.device)
        logits = self.parent.logits(states)
        own, confidence = self._draw(logits, rows, places)
        agree = own == torch.nn.functional.pad(rows.window, (0, 1))[:, :most]
        agree &= torch.arange(most, device=rows.known.device) < rows.drafts[:, None]
        accepted = agree.long().cumprod(1).sum(1)
        accepted = self._enforce(rows, own, confidence, accepted + 1, logits=logits[:, 0]).clamp(min=1) - 1
        keep = torch.arange(most, device=rows.known.device) <= accepted[:, None]
        rows.tokens.scatter_(1, places, torch.where(keep, own, rows.tokens.gather(1, places)))
        rows.probability.scatter_(1, places, torch.where(keep, confidence, rows.probability.gather(1, places)))
        first = ((rows.drafts + 1) * block).cumsum(0) - (rows.drafts + 1) * block + accepted * block
        ahead = hidden[first[:, None] + torch.arange(1, block, device=rows.known.device)]
        rows.cached = rows.known + accepted
        rows.known = rows.known + accepted + 1
        guess, sure = self._draw(
            self.parent.logits(ahead), rows, rows.known[:, None] + torch.arange(block - 1, device=at.device)
        )
        rows.window = torch.nn.functional.pad(guess, (0, 1))
        rows.shown = torch.nn.functional.pad(sure, (0, 1))
        rows.is_masked = torch.ones_like(rows.is_masked)
        rows.drafts = torch.full_like(rows.drafts, block - 1)

    def _enforce(
        self,
        rows: Rows,
        tokens: Int[Tensor, "B K"],
        confidence: Float[Tensor, "B K"],
        counts: Int[Tensor, " B"],
        *,
        logits: Float[Tensor, "B V"],
        steps: Int[Tensor, " B"] | None = None,
    ) -> Int[Tensor, " B"]:
        """Hold the rows to their constraints; see `enforcement.enforce`."""
        begun = time.perf_counter()
        steps = torch.zeros_like(rows.steps) if steps is None else steps
        kept = enforce(rows, tokens, confidence, counts, logits=logits, steps=steps)
        self.counts.constraint_seconds += time.perf_counter() - begun
        return kept

    def _draw(
        self,
        logits: Float[Tensor, "B K V"],
        rows: Rows,
        places: Int[Tensor, "B K"],
        steps: Int[Tensor, " B"] | None = None,
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Draw one token a place from its row's own stream; the number depends on place and step alone."""
        random = draws(rows, places, torch.zeros_like(rows.steps) if steps is None else steps)
        return sample_rows(logits, rows, random.to(logits.device))

    def close(
        self,
        rows: Rows,
        ends_before: Callable[[Int[Tensor, "B T"]], Bool[Tensor, "B T"]] | None,
        *,
        cut: bool | Bool[Tensor, " B"],
    ) -> dict[int, Sample]:
        """The samples, by key, of the rows that ended, were cut, or reached their longest answer; those are done."""
        new, limits = rows.known - rows.prompt, rows.numbers("max_new_tokens")
        samples: dict[int, Sample] = {}
        places = torch.arange(rows.tokens.shape[1], device=rows.known.device)
        answer = (places >= rows.prompt[:, None]) & (places < torch.minimum(rows.known, rows.prompt + limits)[:, None])
        ends = rows.enders(self.parent.shape.eos_id)
        if ends_before is not None:
            ends |= ends_before(rows.tokens)
        ends &= answer & rows.may_end(ends)
        done = (ends.any(1) | (new >= limits) | cut | rows.are_stuck()) & ~rows.done
        for row in done.nonzero()[:, 0].tolist():
            begin, end = int(rows.prompt[row]), int(torch.minimum(rows.known, rows.prompt + limits)[row])
            finished = bool(ends[row].any())
            if finished:
                end = int(ends[row].nonzero()[0, 0])
            constraint = rows.constraint(row)
            tail: list[int] = []
            if constraint is not None and not finished:
                begun = time.perf_counter()
                kept, tail = constraint.finish(int(limits[row]))
                self.counts.constraint_seconds += time.perf_counter() - begun
                end = begin + max(kept, 0)
            self.counts.new_tokens += end - begin + len(tail) + finished
            chances = rows.probability[row, begin : end + finished].clamp(min=1e-30)
            samples[int(rows.keys[row])] = Sample(
                stream=int(rows.streams[row]),
                tokens=rows.tokens[row, begin:end].tolist() + tail,
                finished=finished,
                confidence=float(chances.log().mean()) if len(chances) else 0.0,
                confidences=chances.tolist() + [0.0] * len(tail),
            )
        rows.done |= done
        return samples


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all prompts share."""
    ordered = sorted(list(prompt) for prompt in prompts)
    first, last = ordered[0], ordered[-1]
    for place, (left, right) in enumerate(zip(first, last, strict=False)):
        if left != right:
            return place
    return min(len(first), len(last))
