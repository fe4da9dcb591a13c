"""Samplers of the masked process: from MASK to text; one step = one function, all of them pure.

Time: t in [0, 1]; a step goes from t to s < t; the last one ends at s = 0, where nothing is masked.
Shapes: B batch, L length (of a sequence, or K of a block), V vocabulary.

    ancestral    every masked token is revealed with the posterior's probability (Sahoo et al. 2024, section 3), and
                 with `remask` a revealed one may be masked again (Wang et al. 2025, "ReMDM")
    confidence   the most confident tokens first, as many as the schedule says (Chang et al. 2022, MaskGIT)
    threshold    all tokens above a confidence, at least one (Wu et al. 2025, Fast-dLLM)

`reverse` turns them into sampler objects and whole denoisings. Randomness comes in as uniform numbers in [0, 1), one a
position, so what a row becomes does not depend on its batch. `confidence` is always the probability of the chosen token
at temperature 1, among the allowed tokens, before top-p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agentic_diffusion.diffusion.schedule import NoiseSchedule
from agentic_diffusion.foundation.errors import ConfigError, UsageError


def sample_tokens(
    logits: Float[Tensor, "*shape V"],
    temperature: float,
    top_p: float,
    uniforms: Float[Tensor, "*shape"],
    *,
    allowed_tokens: Bool[Tensor, "*#shape V"] | Bool[Tensor, " V"] | None = None,
    candidates: int | None = 128,
) -> tuple[Int[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Choose one token a position and say its confidence; greedy at temperature 0.

    The nucleus is the smallest set of most likely tokens whose mass (at `temperature`) reaches `top_p` (Holtzman et al.
    2020); within it the token is the inverse of the cumulative distribution, sorted from the most likely, at the
    position's uniform number. Each row depends on its own logits and number alone.

    Only the `candidates` most likely tokens are sorted. Where the nucleus is larger, which top_p = 1 always is, the
    tokens behind them are never chosen and their mass goes to the candidates in proportion: for top_p = 1 the total
    variation from the exact law is the mass behind the candidates. None sorts the whole vocabulary and is exact.

    Raises ConfigError for a temperature or top_p out of range, UsageError where no token is allowed.
    """
    check_sampling(temperature, top_p)
    scores = logits.float()
    if allowed_tokens is not None:
        if not bool(allowed_tokens.any(dim=-1).all()):
            raise UsageError(
                "No token is allowed at some position, so nothing can be chosen there.",
                hint="Loosen the constraint, or end the text before that position.",
            )
        scores = scores.masked_fill(~allowed_tokens, -math.inf)
    probabilities = scores.softmax(dim=-1)
    if temperature == 0:
        confidence, tokens = probabilities.max(dim=-1)
        return tokens, confidence
    order = scores.topk(min(candidates or scores.shape[-1], scores.shape[-1]), dim=-1).indices
    tempered = probabilities if temperature == 1 else (scores / temperature).softmax(dim=-1)
    mass = tempered.gather(-1, order).double()
    kept = mass.where(mass.cumsum(dim=-1) - mass < top_p, torch.zeros_like(mass))
    kept[..., 0] = mass[..., 0].clamp(min=torch.finfo(torch.float64).tiny)
    place = inverse_cdf(kept, uniforms)
    tokens = order.gather(-1, place[..., None])
    return tokens[..., 0], probabilities.gather(-1, tokens)[..., 0]


def inverse_cdf(mass: Float[Tensor, "*shape k"], uniforms: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """The first index whose cumulative mass exceeds uniform * total; never an index without mass."""
    cumulative = mass.cumsum(dim=-1)
    target = uniforms.to(mass.dtype)[..., None] * cumulative[..., -1:]
    last = torch.where(mass > 0, torch.arange(mass.shape[-1], device=mass.device), 0).amax(dim=-1)
    return torch.minimum((cumulative <= target).sum(dim=-1), last)


def confidence_commits(
    confidence: Float[Tensor, "B L"], is_masked: Bool[Tensor, "B L"], count: int | Int[Tensor, " B"]
) -> Bool[Tensor, "B L"]:
    """Which tokens to commit: the `count` most confident masked ones a row (all, where fewer are masked).

    Equal confidences go to the earlier position.
    """
    ranked = confidence.masked_fill(~is_masked, -math.inf).argsort(dim=-1, descending=True, stable=True)
    rank = ranked.argsort(dim=-1)
    limit = count if isinstance(count, int) else count[:, None]
    return (rank < limit) & is_masked


def threshold_commits(
    confidence: Float[Tensor, "B L"], is_masked: Bool[Tensor, "B L"], threshold: float, minimum: int = 1
) -> Bool[Tensor, "B L"]:
    """Which tokens to commit: all masked ones of at least `threshold`, and the `minimum` most confident in any case."""
    return (is_masked & (confidence >= threshold)) | confidence_commits(confidence, is_masked, minimum)


def lowest_confidence(
    confidence: Float[Tensor, "B L"], may_remask: Bool[Tensor, "B L"], count: int | Int[Tensor, " B"]
) -> Bool[Tensor, "B L"]:
    """Which tokens to mask again: the `count` least confident a row among those that may be."""
    return confidence_commits(-confidence, may_remask, count)


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A batch in the middle of its denoising."""

    x_t: Int[Tensor, "B L"]
    """The tokens, MASK where undecided."""
    confidence: Float[Tensor, "B L"]
    """The confidence with which each token was committed; 1 for given tokens, 0 where masked."""
    noisable: Bool[Tensor, "B L"]
    """Where the process may write; a given token is False and never changes."""
    mask_id: int
    """The id of MASK."""

    @classmethod
    def start(cls, x_1: Int[Tensor, "B L"], mask_id: int) -> Canvas:
        """A canvas where every MASK of `x_1` is to be written and everything else is given."""
        masked = x_1 == mask_id
        return cls(x_t=x_1, confidence=(~masked).float(), noisable=masked, mask_id=mask_id)

    @property
    def is_masked(self) -> Bool[Tensor, "B L"]:
        """Which tokens are undecided."""
        return self.x_t == self.mask_id

    def commit(
        self, commits: Bool[Tensor, "B L"], tokens: Int[Tensor, "B L"], confidence: Float[Tensor, "B L"]
    ) -> Canvas:
        """Write `tokens` where `commits` says so."""
        return replace(
            self,
            x_t=torch.where(commits, tokens, self.x_t),
            confidence=torch.where(commits, confidence, self.confidence),
        )

    def remask(self, places: Bool[Tensor, "B L"]) -> Canvas:
        """Put MASK back where `places` says so."""
        return replace(
            self,
            x_t=torch.where(places, self.mask_id, self.x_t),
            confidence=self.confidence.masked_fill(places, 0.0),
        )


def ancestral_step(
    canvas: Canvas,
    tokens: Int[Tensor, "B L"],
    confidence: Float[Tensor, "B L"],
    *,
    uniforms: Float[Tensor, "B L"],
    s: float,
    t: float,
    schedule: NoiseSchedule,
    remask: float = 0.0,
) -> Canvas:
    """Draw x_s ~ p(x_s | x_t) given a draw `tokens` of x_0.

    With alpha_s, alpha_t and sigma = remask * min(1, (1 - alpha_s) / alpha_t), a masked token is revealed with
    probability (alpha_s - (1 - sigma) alpha_t) / (1 - alpha_t) and a revealed one is masked again with probability
    sigma. Every remask in [0, 1] has the same marginals q(x_s | x_0) (Wang et al. 2025, ReMDM); 0 is the posterior of
    Sahoo et al. 2024, section 3.
    """
    alpha_s, alpha_t = (float(schedule.alpha(torch.tensor(time, dtype=torch.float64))) for time in (s, t))
    sigma = remask * min(1.0, (1 - alpha_s) / alpha_t if alpha_t > 0 else 1.0)
    reveal = (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t) if alpha_t < 1 else 1.0
    revealed = canvas.is_masked & (uniforms < reveal)
    masked_again = ~canvas.is_masked & canvas.noisable & (uniforms < sigma)
    return canvas.commit(revealed, tokens, confidence).remask(masked_again)


def confidence_step(
    canvas: Canvas,
    tokens: Int[Tensor, "B L"],
    confidence: Float[Tensor, "B L"],
    *,
    s: float,
    schedule: NoiseSchedule,
    remask: float = 0.0,
) -> Canvas:
    """Commit the most confident tokens until (1 - alpha(s)) of the noisable ones are left; Chang et al. 2022, MaskGIT.

    At least one token is committed. With `remask`, that share of as many as were committed now is taken from the least
    confident earlier ones and masked again, except in the last step.
    """
    alpha = float(schedule.alpha(torch.tensor(s, dtype=torch.float64)))
    left = torch.ceil((1 - alpha) * canvas.noisable.sum(dim=1).double() - 1e-9).long()
    count = (canvas.is_masked.sum(dim=1) - left).clamp(min=1)
    commits = confidence_commits(confidence, canvas.is_masked, count)
    advanced = canvas.commit(commits, tokens, confidence)
    if remask == 0 or s == 0:
        return advanced
    earlier = canvas.noisable & ~canvas.is_masked
    again = (remask * commits.sum(dim=1)).floor().long()
    return advanced.remask(lowest_confidence(canvas.confidence, earlier, again))


def threshold_step(
    canvas: Canvas,
    tokens: Int[Tensor, "B L"],
    confidence: Float[Tensor, "B L"],
    *,
    s: float,
    threshold: float,
    minimum: int = 1,
) -> Canvas:
    """Commit every token above `threshold` and at least `minimum`; everything at s = 0. Wu et al. 2025, Fast-dLLM."""
    commits = canvas.is_masked if s == 0 else threshold_commits(confidence, canvas.is_masked, threshold, minimum)
    return canvas.commit(commits, tokens, confidence)


def check_sampling(temperature: float, top_p: float) -> None:
    """Raise ConfigError unless temperature >= 0 and 0 < top_p <= 1."""
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ConfigError(
            f"A temperature of {temperature:g} is not possible: it must be 0 (greedy) or more.",
            hint="Use a temperature between 0 and 1.5.",
        )
    if not 0 < top_p <= 1:
        raise ConfigError(
            f"A top-p of {top_p:g} is not possible: it is a share of probability, above 0 and at most 1.",
            hint="Use 1 for no cut, or for example 0.95.",
        )
