"""Training an adapter: it learns, holes included; the parent stays; a kill, another plan and bad numbers do no harm."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agentic_diffusion.adaptation.adapter_training import (
    ADAPTER,
    CURVE,
    LOG,
    STATE,
    AdapterPlan,
    grouped,
    starting_adapter,
    train_adapter,
)
from agentic_diffusion.adaptation.code_texts import TextSettings, TrainingText, make_texts
from agentic_diffusion.adaptation.loss_curve import loss_svg, read_log, running_mean
from agentic_diffusion.adaptation.training_budget import EPOCHS, device_of, plan_for
from agentic_diffusion.diffusion.backbones.adapter import load_adapter
from agentic_diffusion.diffusion.block_training import NoiseSettings
from agentic_diffusion.diffusion.checkpoint import checksum, load_checkpoint
from agentic_diffusion.diffusion.training_state import KIND
from agentic_diffusion.domains.code.corpus_rows import Example
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import (
    ConfigError,
    ModelFileError,
    NegativeResultError,
    ResourceError,
    SetupError,
    UsageError,
)
from tiny_coder import random_llama, stock_tokenizer

PARENT = random_llama(2)
PLAN = AdapterPlan(
    steps=6, tokens=30, rank=3, checkpoint_seconds=1e-9, ema_decay=0.9,
    noise=NoiseSettings(copies=2, complementary=True, force_one=True),
)  # fmt: skip


def some_texts() -> list[TrainingText]:
    """Solutions and holes of a few small programs."""
    tokenizer = CodeTokenizer(stock_tokenizer())
    examples = [
        Example(
            id=f"own:{number}", source="own", language="python", licence="MIT", description=f"Adds {number}.",
            solution=f"def f(x):\n    y = x + {number}\n    return y\n",
        )
        for number in range(4)
    ]  # fmt: skip
    return make_texts(examples, tokenizer, TextSettings(longest=200))


def run(folder: Path, plan: AdapterPlan = PLAN, *, parent=PARENT, **more):
    torch.set_num_threads(1)
    return train_adapter(parent, some_texts(), plan, folder, parent_sha256="0" * 64, **more)


def kill_in_step_four(folder: str) -> None:
    """A training that is ended by SIGKILL in step 4, before its checkpoint is written; run in another process."""

    def killer(report):
        if report.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    run(Path(folder), callbacks=[killer])


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path):
    run(tmp_path / "whole")
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    code = f"import test_adapter_training as t; t.kill_in_step_four({str(tmp_path / 'cut')!r})"
    environment = os.environ | {"PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert load_checkpoint(tmp_path / "cut" / STATE, kind=KIND).config["step"] == 3
    result = run(tmp_path / "cut")
    assert result.step == 6
    for name in (STATE, ADAPTER):
        assert checksum(tmp_path / "cut" / name) == checksum(tmp_path / "whole" / name), name
    assert [report["step"] for report in read_log(tmp_path / "cut" / LOG)] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "cut" / CURVE).read_text().startswith("<svg")


def test_training_lowers_the_loss_of_holes_and_leaves_the_parent(tmp_path):
    before = PARENT.layers[0].qkv.clone()
    plan = AdapterPlan(steps=60, tokens=60, rank=4, learning_rate=1e-2, noise=NoiseSettings(copies=2, distillation=0.0))
    run(tmp_path, plan)
    losses = [report["loss"] for report in read_log(tmp_path / LOG)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert torch.equal(PARENT.layers[0].qkv, before)
    adapter, header = load_adapter(tmp_path / ADAPTER, PARENT)
    assert (header["block"], header["rank"], header["step"], header["parent_sha256"]) == (4, 4, 60, "0" * 64)
    assert adapter.layers[0].qkv.a.shape[0] == 4
    names = load_checkpoint(tmp_path / STATE, kind=KIND).tensors
    assert not any("embedding" in name and "mask" not in name for name in names), "no weight of the parent is saved"


def test_a_training_starts_from_an_adapter_or_a_state_and_refuses_foreign_ones(tmp_path):
    run(tmp_path / "first")
    state = starting_adapter(PARENT, PLAN, tmp_path / "first" / STATE).state_dict()
    saved = load_checkpoint(tmp_path / "first" / STATE, kind=KIND).tensors
    assert all(torch.equal(value, saved[f"model/{name}"]) for name, value in state.items())
    rounded = starting_adapter(PARENT, PLAN, tmp_path / "first" / ADAPTER).state_dict()
    assert set(rounded) == set(state)
    wide = random_llama(0, layers=3)
    for name in (STATE, ADAPTER):
        with pytest.raises(ModelFileError):
            starting_adapter(wide, PLAN, tmp_path / "first" / name)
    with pytest.raises(ConfigError, match="has rank 3, not 8"):
        starting_adapter(PARENT, AdapterPlan(steps=1, rank=8), tmp_path / "first" / ADAPTER)
    with pytest.raises(ModelFileError, match="belongs to another model"):
        starting_adapter(PARENT, AdapterPlan(steps=1, rank=8), tmp_path / "first" / STATE)


def test_a_folder_of_another_plan_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(UsageError, match="holds a training by another plan or on other texts"):
        run(tmp_path, AdapterPlan(steps=7))
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(UsageError, match="by another plan"):
        run(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        AdapterPlan.read(tmp_path / "plan.json")
    assert AdapterPlan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
    with pytest.raises(UsageError, match="none of this version"):
        AdapterPlan.from_json({"steps": 1, "speed": 2, "noise": {}})


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(tmp_path):
    parent = random_llama(2)

    def spoil(report):
        if report.step == 3:
            parent.norm.fill_(float("nan"))

    with pytest.raises(NegativeResultError, match="diverged in step 4: the loss of micro-batch 1 is nan"):
        run(tmp_path, parent=parent, callbacks=[spoil])
    saved = load_checkpoint(tmp_path / STATE, kind=KIND)
    assert saved.config["step"] == 3
    assert all(bool(torch.isfinite(value.float()).all()) for value in saved.tensors.values())


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    run(tmp_path, max_seconds=1e-9)
    run(tmp_path, callbacks=[])
    before = checksum(tmp_path / STATE)
    longer = tmp_path / "longer"

    def fill_up(report):
        if report.step == 3:

            def full(*_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ResourceError, match="No space left on device"):
        run(longer, callbacks=[fill_up])
    monkeypatch.undo()
    assert load_checkpoint(longer / STATE, kind=KIND).config["step"] == 2
    assert not list(longer.glob("*.tmp"))
    assert run(longer).step == 6
    assert checksum(longer / STATE) == before


def test_groups_hold_every_text_once_and_about_as_many_tokens():
    texts = some_texts()
    groups = grouped(texts, 40)
    assert sorted(id(text) for group in groups for text in group) == sorted(map(id, texts))
    for group in groups[:-1]:
        assert sum(text.answer for text in group[:-1]) < 40


def test_the_budget_decides_the_steps_and_is_told():
    texts = some_texts()
    short, told = plan_for(1e-6, texts, PARENT, device="cpu")
    assert short.steps == 1
    assert short.tokens < 110, "a budget that is too short makes the steps smaller"
    assert told.startswith("1 steps, as fit the budget, of about")
    long, told = plan_for(1e9, texts, PARENT, device="cpu", seed=5)
    assert long.steps == EPOCHS * len(grouped(texts, long.tokens))
    assert "as the data allow" in told
    assert long.seed == 5
    with pytest.raises(ConfigError, match="leaves no time"):
        plan_for(0, texts, PARENT, device="cpu")


def test_devices_that_are_not_here_are_told(monkeypatch):
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no device 'tpu'"):
        device_of("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SetupError, match="no CUDA device"):
        device_of("cuda")


def test_the_curve_shows_every_step_once(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 9.0}, {"step": 2, "loss": 2.0, "learning_rate": 0.1}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 3, "lo')
    reports = read_log(log)
    assert [report["loss"] for report in reports] == [3.0, 2.0]
    picture = loss_svg(reports, title="a < b")
    assert picture.count("<polyline") == 3
    assert "a &lt; b" in picture
    assert running_mean([1.0, 2.0, 3.0], 2) == [1.0, 1.5, 2.5]
    log.write_text("")
    with pytest.raises(UsageError, match="holds no step"):
        read_log(log)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"rank": 0}])
def test_plans_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="out of range"):
        AdapterPlan(steps=1, **wrong)
