"""The whole of a set-up: lock, recover, probe, plan, show, apply, stamp; and its removal.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation import config, events, locking
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import atomic_write, format_size, home, writable_home
from agentic_diffusion.foundation.settings import ModelSettings
from agentic_diffusion.installer import bundle as bundles
from agentic_diffusion.installer import fetch, models, toolchains
from agentic_diffusion.installer import manifest as manifests
from agentic_diffusion.installer import probe as probing
from agentic_diffusion.installer.actions import Actions
from agentic_diffusion.installer.apply import Journal, apply, recover
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.plan import Plan, make_plan
from agentic_diffusion.installer.stamp import Stamp, environment_of_home, key_of
from agentic_diffusion.packages import offline


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a set-up."""

    wanted: frozenset[str]
    """Parts: core, dev, torch, sandbox, model, and toolchains by their names."""
    offline: bool = False
    """Whether the network is forbidden."""
    bundle: str = ""
    """A bundle that everything is taken from; the network is then not used."""
    model: str = "default"
    """Which model of the manifest."""
    source: str = ""
    """Where the model is taken from instead of `model.source`."""


def plan_for(layout: Layout, request: Request) -> tuple[Plan, Actions]:
    """Gather the facts and plan, changing nothing; an unfinished step counts as not done."""
    taken = None
    if layout.root is not None:
        taken = bundles.left(layout.bundle, layout.root)
        if request.bundle and taken is None:
            taken = bundles.announced(layout.bundle, Path(request.bundle), layout.root, probing.this_machine())
    elif request.bundle:
        raise UsageError("A bundle is for a checkout of the project.", hint="Run its launcher: ./agd --bundle FILE.")
    manifest = manifests.load(layout.manifest)
    entry = manifest.model(request.model)
    source = request.source or config.load().section(ModelSettings).source
    probe = probing.probe(
        layout, entry, wanted=request.wanted, offline=request.offline or taken is not None, model_source=source,
        bundle=taken,
    )  # fmt: skip
    remake = str(layout.venv) in Journal(layout.journal).unfinished().values()
    plan = make_plan(probe, layout, request.wanted, manifest, entry, remake=remake)
    return plan, Actions(layout=layout, probe=probe, manifest=manifest, entry=entry)


def set_up(layout: Layout, request: Request) -> Stamp:
    """Bring everything that is wanted here; does nothing that is done already. Returns what is ready.

    Raises SetupError and its kinds; a KeyboardInterrupt passes through, and the next call goes on from there.
    """
    with locking.exclusive(layout.lock, "a set-up"):
        journal = Journal(layout.journal)
        for step in recover(journal):
            events.say(f"the step {step} did not end last time: it is begun anew")
        _take_bundle(layout, request, journal)
        plan, actions = plan_for(layout, request)
        if plan.steps:
            for line in plan.lines():
                events.say(line)
            if any(step.name in ("model", *toolchains.NAMES) for step in plan.steps):
                writable_home()
            apply(plan, actions.table(), journal)
        stamp = _stamp(layout, request, actions)
        shutil.rmtree(layout.bundle, ignore_errors=True)
        return stamp


def _take_bundle(layout: Layout, request: Request, journal: Journal) -> None:
    """Unpack the bundle that was named, unless it is there already; one that fits no more is removed."""
    if layout.root is None:
        return
    if bundles.left(layout.bundle, layout.root):
        events.say("going on with the bundle that is unpacked already")
        return
    shutil.rmtree(layout.bundle, ignore_errors=True)
    if request.bundle:
        named = Path(request.bundle)
        bundles.announced(layout.bundle, named, layout.root, probing.this_machine())
        events.say(f"unpacking {named.name}")
        journal.write("begin", "bundle", str(layout.bundle))
        with fetch.disk_errors(f"unpack {named.name}"):
            offline.unpack(named, layout.bundle)
        journal.write("end", "bundle")


def uninstall(layout: Layout, *, with_models: bool) -> list[str]:
    """Remove what set-up made; returns a line for each thing that was removed."""
    removed = []
    places = [layout.state] + [home() / name for name in ("models", "toolchains")] * with_models
    places = [place for place in places if place.is_dir()]
    if not places:
        return []
    with locking.exclusive(layout.lock, "a set-up"):
        for place in places:
            size = fetch.tree_size(place)
            shutil.rmtree(place)
            removed.append(f"removed {place} ({format_size(size)})")
    shutil.rmtree(layout.state, ignore_errors=True)  # the lock alone made it, where only models were removed
    return removed


def _stamp(layout: Layout, request: Request, actions: Actions) -> Stamp:
    """Write down what is ready, so that the next start need not look."""
    old = Stamp.read(layout.stamp)
    key = key_of(layout.root) if layout.root else _installed_key()
    default = actions.manifest.model()
    # Another model than the default one says nothing of what a start needs.
    wanted = request.wanted if actions.entry == default else request.wanted - {"model"}
    parts = wanted | (old.parts if old and old.key == key else frozenset())
    own = probing.own_bubblewrap(layout)
    stamp = Stamp(
        key=key,
        parts=parts,
        bubblewrap=own if own and not probing.bubblewrap_problem(own) else "",
        model=str(models.folder_of(default)),
        home=environment_of_home(),
    )
    atomic_write(layout.stamp, json.dumps(stamp.as_dict()) + "\n")
    return stamp


def _installed_key() -> str:
    return hashlib.sha256(sys.prefix.encode()).hexdigest()
