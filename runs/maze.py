"""Train the maze planner and let it improve itself: from nothing to four sets of weights.

    python runs/maze.py --size smoke|short|full [--work FOLDER] [--threads N] [--stage base|loop|control|diffuser]

Stages, each skipped where its result exists and resumed where it was stopped:

    base       offline data made again (cached), then the base model               base.safetensors
    loop       rounds of self-improvement with the gate                            round-N and evolved.safetensors
    control    the same minutes on the original data instead of the rounds         control.safetensors
    diffuser   a planner in the manner of Diffuser: fixed lengths, no loop         diffuser.safetensors

`runs/maze.sh` runs all of it, the table and the pictures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from agentic_diffusion.adaptation.gate import GateSettings
from agentic_diffusion.adaptation.self_improve import RoundReport, SelfImprovement
from agentic_diffusion.adaptation.trajectories import MazeDomain, MazeLoopSettings, fine_tune
from agentic_diffusion.diffusion.store_buffer import StoreBuffer
from agentic_diffusion.diffusion.training import StepReport, TrainingSettings, start_state, train_step
from agentic_diffusion.foundation.resources import atomic_write, home, usable_cpus
from agentic_diffusion.foundation.store import Store
from agentic_diffusion.planning.model import PlannerModel, PlannerModelSettings, load_model, make_model, save_model
from agentic_diffusion.planning.training import (
    Collection,
    CollectionSettings,
    collect,
    plan_loss,
    train_planner,
)
from agentic_diffusion.planning.windows import WindowBatches

HORIZONS = (("umaze", 128), ("medium", 256), ("large", 384))
"""Diffuser's plan lengths in environment steps."""
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """One position of the dial: minutes on this machine, and how much of everything."""

    base_minutes: float
    tune_minutes: float
    diffuser_minutes: float
    rounds: int
    tasks: int
    candidates: int
    gate_tasks: int
    data: float
    random_mazes: int
    batch: int = 128
    model: PlannerModelSettings = field(default_factory=PlannerModelSettings)


SIZES = {
    "smoke": Size(base_minutes=0.6, tune_minutes=0.2, diffuser_minutes=0.2, rounds=1, tasks=24, candidates=8,
                  gate_tasks=10, data=0.02, random_mazes=12, batch=64,
                  model=PlannerModelSettings(width=64, mlp=128)),
    "short": Size(base_minutes=9, tune_minutes=2.5, diffuser_minutes=6, rounds=3, tasks=400, candidates=24,
                  gate_tasks=40, data=0.5, random_mazes=160),
    "full": Size(base_minutes=23, tune_minutes=5, diffuser_minutes=23, rounds=3, tasks=800, candidates=32,
                 gate_tasks=60, data=1.0, random_mazes=240),
}  # fmt: skip


class Work:
    """The folder of one run, its data, and what is told."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size, self.folder = size, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def say(self, text: str) -> None:
        print(f"[{(time.monotonic() - self.began) / 60:6.1f} min] {text}", file=sys.stderr, flush=True)

    def collection(self, *, whole: bool = False, mazes: int | None = None) -> Collection:
        size = self.size
        settings = CollectionSettings(
            scale=size.data, random_mazes=size.random_mazes if mazes is None else mazes, seed=SEED
        )
        self.say("offline data: made, or read from the cache")
        return collect(settings, whole=whole)

    def log(self, stage: str) -> list:
        """Callbacks that tell the loss, and keep it line by line for the curve."""
        last = [time.monotonic()]
        file = (self.folder / f"{stage}.loss.jsonl").open("a", encoding="utf-8")

        def tell(report: StepReport) -> None:
            if report.step % 20 == 0:
                file.write(json.dumps({"step": report.step, "loss": report.loss}) + "\n")
                file.flush()
            if time.monotonic() - last[0] > 30:
                last[0] = time.monotonic()
                self.say(f"{stage}: step {report.step}, loss {report.loss:.4f}")

        return [tell]


def steps_for(work: Work, stage: str, minutes: float, model: PlannerModel, batches: WindowBatches) -> int:
    """Steps that fit into the minutes, measured once on a copy and written down, so that a resume has the same plan."""
    note = work.folder / f"{stage}.steps.json"
    if note.exists():
        return int(json.loads(note.read_text())["steps"])
    copy = make_model(model.settings, 0)
    settings = TrainingSettings(steps=100)
    state = start_state(copy, settings)
    for _ in range(3):
        train_step(state, [next(batches)], plan_loss, settings)
    began = time.perf_counter()
    for _ in range(12):
        train_step(state, [next(batches)], plan_loss, settings)
    seconds = (time.perf_counter() - began) / 12
    batches.load_state_dict({"number": 0})
    steps = max(20, int(60 * minutes / seconds))
    atomic_write(note, json.dumps({"steps": steps, "seconds_a_step": seconds}) + "\n")
    work.say(f"{stage}: {steps} steps of {seconds:.3f} s")
    return steps


def learn(work: Work, stage: str, minutes: float, model: PlannerModel, collection: Collection, *,
          rate: float = 1e-3, horizons: list[int] | None = None, seed: int = SEED) -> None:  # fmt: skip
    """Train `model` for the minutes and write it as `stage`."""
    batches = WindowBatches(
        collection.mazes, collection.sources, model.settings.plan, batch_size=work.size.batch, seed=seed,
        horizons=horizons,
    )  # fmt: skip
    steps = steps_for(work, stage, minutes, model, batches)
    settings = TrainingSettings(
        steps=steps, learning_rate=rate, warmup_steps=min(100, steps // 5), ema_decay=0.998, final_share=0.02,
        seed=seed, checkpoint_seconds=60,
    )  # fmt: skip
    checkpoint = work.folder / f"{stage}.training"
    train_planner(model, batches, settings, checkpoint=checkpoint, callbacks=work.log(stage))
    save_model(work.path(stage), model, stage=stage, steps=steps, batch=work.size.batch)
    checkpoint.unlink(missing_ok=True)


def base(work: Work) -> None:
    if not work.path("base").exists():
        learn(work, "base", work.size.base_minutes, make_model(work.size.model, SEED), work.collection())


def loop(work: Work) -> None:
    """Rounds that are in `rounds.json` are not run again."""
    note = work.folder / "rounds.json"
    done = json.loads(note.read_text()) if note.exists() else []
    size = work.size
    if len(done) >= size.rounds and work.path("evolved").exists():
        return
    collection = work.collection()
    latest = work.path(f"round-{done[-1]['round']}") if done else work.path("base")
    model = load_model(latest)
    settings = MazeLoopSettings(tasks=size.tasks, candidates=size.candidates, gate_tasks=size.gate_tasks, seed=SEED)
    batches = WindowBatches(collection.mazes, collection.sources, model.settings.plan, batch_size=size.batch, seed=0)
    steps = steps_for(work, "tune", size.tune_minutes, model, batches)
    training = TrainingSettings(
        steps=steps, learning_rate=5e-4, warmup_steps=min(50, steps // 5), ema_decay=0.995, final_share=0.02, seed=SEED
    )
    strategy = fine_tune(model, collection, settings, training, batch_size=size.batch)
    strategy.callbacks = work.log("loop")
    with Store.open(f"sqlite:///{work.folder / 'rounds.db'}") as store:
        improvement = SelfImprovement(
            MazeDomain(model=model, collection=collection, settings=settings),
            strategy,
            store,
            StoreBuffer(store, "trajectories"),
            label=f"maze-{SEED}",
            gate=GateSettings(),
        )
        for number in range(len(done) + 1, size.rounds + 1):
            began = time.monotonic()
            report = improvement.round(number)
            save_model(work.path(f"round-{number}"), model, stage="loop", round=number)
            done.append(_as_json(report) | {"minutes": round((time.monotonic() - began) / 60, 2)})
            atomic_write(note, json.dumps(done, indent=1) + "\n")
            work.say(
                f"round {number}: {report.kept} of {report.attempts} kept, held-out {report.before:.1f} -> "
                f"{report.after:.1f}, {'accepted' if report.accepted else 'rolled back'}"
            )
    shutil.copyfile(work.path(f"round-{size.rounds}"), work.path("evolved"))


def control(work: Work) -> None:
    """As many minutes as the rounds took, on the original data."""
    if work.path("control").exists():
        return
    minutes = sum(one["minutes"] for one in json.loads((work.folder / "rounds.json").read_text()))
    learn(work, "control", minutes, load_model(work.path("base")), work.collection(), rate=5e-4, seed=SEED + 1)


def diffuser(work: Work) -> None:
    if work.path("diffuser").exists():
        return
    settings = PlannerModelSettings(**{**_fields(work.size.model), "horizons": HORIZONS})
    collection = work.collection(whole=True, mazes=0)
    lengths = [dict(HORIZONS)[maze.name] for maze in collection.mazes]
    learn(work, "diffuser", work.size.diffuser_minutes, make_model(settings, SEED), collection, horizons=lengths)


def _fields(settings: PlannerModelSettings) -> dict:
    return {name: getattr(settings, name) for name in ("plan", "width", "layers", "heads", "mlp")}


def _as_json(report: RoundReport) -> dict:
    return asdict(report) | {"accepted": report.accepted}


STAGES = {"base": base, "loop": loop, "control": control, "diffuser": diffuser}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    parser.add_argument("--stage", choices=sorted(STAGES), action="append")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = Work(SIZES[options.size], options.work or home() / "maze" / options.size)
    for name in options.stage or STAGES:
        work.say(f"stage {name}")
        STAGES[name](work)


if __name__ == "__main__":
    main()
