"""The loop: what is kept, remembered, accepted, and put back to the byte."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from agentic_diffusion.adaptation.self_improve import KIND, SelfImprovement, run_rounds
from agentic_diffusion.adaptation.strategy import Attempt, LoopDomain, Strategy
from agentic_diffusion.diffusion.buffer import BufferSample
from agentic_diffusion.diffusion.store_buffer import StoreBuffer
from agentic_diffusion.foundation.errors import NegativeResultError
from agentic_diffusion.foundation.store import Store


class Guessing:
    """A whole small domain: its weights are one number, its tasks ask for numbers near 10."""

    name = "trajectories"

    def __init__(self):
        self.value = 0.0

    def attempt(self, round_number):
        rng = np.random.default_rng(round_number)
        attempts = []
        for task in range(8):
            guess = self.value + rng.normal(0.5, 1.0)
            sample = BufferSample(
                task=f"{round_number}/{task}",
                reward=-abs(guess - 10),
                arrays={"states": np.array([[guess]])},
                provenance={"seed": round_number},
            )
            attempts.append(Attempt(sample=sample, baseline=-abs(self.value - 10), solved=guess < 20))
        return attempts

    def evaluate(self):
        targets = 10 + np.linspace(-1, 1, 20)
        return -np.abs(self.value - targets)

    def weights(self):
        return np.float64(self.value).tobytes()

    def restore(self, weights):
        self.value = float(np.frombuffer(weights)[0])


class MeanOfEvidence:
    """A strategy: move to the mean of the newest evidence, times a factor."""

    def __init__(self, domain, factor=1.0):
        self.domain, self.factor, self.seen = domain, factor, []

    def adapt(self, evidence, round_number):
        self.seen.append(len(evidence))
        newest = [sample.arrays["states"][0, 0] for sample in evidence if sample.round == round_number]
        self.domain.value = self.factor * float(np.mean(newest))
        return {"newest": float(len(newest))}


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'loop.db'}") as opened:
        yield opened


def loop_of(domain, strategy, store, label="test"):
    return SelfImprovement(domain, strategy, store, StoreBuffer(store, "trajectories"), label=label)


def test_rounds_improve_the_weights_and_are_rows_in_the_store(store):
    domain = Guessing()
    strategy = MeanOfEvidence(domain)
    assert isinstance(domain, LoopDomain)
    assert isinstance(strategy, Strategy)
    told = []
    reports = run_rounds(loop_of(domain, strategy, store), range(1, 6), told.append)
    assert reports == told
    assert domain.value > 3
    assert all(report.accepted for report in reports)
    runs = [run for run in store.runs() if run.kind == KIND]
    assert [run.settings["round"] for run in reversed(runs)] == [1, 2, 3, 4, 5]
    assert runs[0].summary["accepted"] is True
    assert {metric.name for metric in store.metrics(runs[0].id)} >= {
        "kept",
        "held_out_before",
        "held_out_after",
        "newest",
    }
    # Old evidence stays beside the new.
    assert strategy.seen == sorted(strategy.seen)
    assert strategy.seen[-1] == sum(report.kept for report in reports)


def test_kept_samples_know_their_round_and_the_weights_that_made_them(store):
    domain = Guessing()
    loop = loop_of(domain, MeanOfEvidence(domain), store)
    before = hashlib.sha256(domain.weights()).hexdigest()
    report = loop.round(1)
    assert report.weights == hashlib.sha256(domain.weights()).hexdigest() != before
    for sample in loop.evidence():
        assert (sample.round, sample.weights) == (1, before)
        assert sample.provenance == {"seed": 1, "loop": "test"}
        assert sample.reward > -10, "better than the weights did without guidance"
    assert loop_of(domain, MeanOfEvidence(domain), store, label="another").evidence() == []


def test_worse_weights_are_rolled_back_to_the_byte(store):
    domain = Guessing()
    domain.value = 1 / 3
    old = domain.weights()
    loop = loop_of(domain, MeanOfEvidence(domain, factor=-1.0), store)
    report = loop.round(1)
    assert report.after < report.before
    assert not report.accepted
    assert domain.weights() == old
    with pytest.raises(NegativeResultError, match="None of 2 rounds was accepted"):
        run_rounds(loop, range(2, 9), lambda report: None)
    assert domain.weights() == old


def test_an_error_in_a_round_leaves_the_old_weights_and_a_failed_run(store):
    domain = Guessing()

    class Broken(MeanOfEvidence):
        def adapt(self, evidence, round_number):
            super().adapt(evidence, round_number)
            raise RuntimeError("power cut")

    old = domain.weights()
    with pytest.raises(RuntimeError, match="power cut"):
        loop_of(domain, Broken(domain), store).round(1)
    assert domain.weights() == old
    assert [run.status for run in store.runs()] == ["failed"]


def test_a_round_without_anything_good_changes_nothing(store):
    class Hopeless(Guessing):
        def attempt(self, round_number):
            return [replace(attempt, solved=False) for attempt in super().attempt(round_number)]

    domain = Hopeless()
    strategy = MeanOfEvidence(domain)
    report = loop_of(domain, strategy, store).round(1)
    assert (report.kept, report.verdict, report.accepted, strategy.seen) == (0, None, False, [])
