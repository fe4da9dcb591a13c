"""Models are removed and the rest is cleared; what works stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import TinyModel

from agentic_diffusion.installer import manifest, model_store, models


@pytest.fixture
def ready(tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, with tiny in it."""
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    return models.obtain(tiny.entry, tiny.supply()).parent


def test_prune_takes_what_nothing_needs_and_no_more(tiny: TinyModel, ready: Path) -> None:
    for name in (".parts/x.part", ".old.work/y", "stranger/model.safetensors"):
        (ready / name).parent.mkdir()
        (ready / name).write_text("x" * 5000)
    known = manifest.load(tiny.manifest)

    planned = model_store.prune(known, dry_run=True)
    assert [one.path.name for one in planned] == [".old.work", ".parts", "stranger"]
    assert all(one.size >= 5000 and one.path.exists() for one in planned)
    assert model_store.prune(known) == planned
    assert not any(one.path.exists() for one in planned)
    assert models.damage(tiny.entry, ready / "tiny", every_byte=True) == []
    assert model_store.prune(known) == []


def test_a_damaged_model_is_pruned(tiny: TinyModel, ready: Path) -> None:
    (ready / "tiny" / "config.json").unlink()
    (gone,) = model_store.prune(manifest.load(tiny.manifest))
    assert gone.path == ready / "tiny"


def test_remove(tiny: TinyModel, ready: Path) -> None:
    gone = model_store.remove(tiny.entry)
    assert gone is not None
    assert gone.path == ready / "tiny"
    assert [path.name for path in ready.iterdir() if path.is_dir()] == []
    assert model_store.remove(tiny.entry) is None
