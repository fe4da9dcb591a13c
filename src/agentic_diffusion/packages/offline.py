"""A bundle: one tar that holds all that a set-up without network needs, each file with size and SHA-256.

    agd-bundle.json   first: format, platform, python, lock (SHA-256 of uv.lock), files with size, sha256
    wheels/...        wheels
    models/NAME/...   a finished model

Reading trusts nothing: only plain files that the list names are unpacked, each is checked, and the folder gets its name
when it is whole. The same files give the same bytes. Standard library only.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from agentic_diffusion.foundation.errors import ResourceError, SetupError, UsageError
from agentic_diffusion.foundation.resources import format_size, replace_folder, require_disk, sha256_of

FACTS = "agd-bundle.json"
FORMAT = 1
_CHUNK = 1 << 20
_LARGEST_FACTS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a bundle is for and what is in it."""

    platform: str
    """System and processor: "linux-x86_64"."""
    python: str
    """The version of Python whose wheels are in it: "3.11"."""
    lock: str
    """SHA-256 of the uv.lock that it was made from."""
    files: Mapping[str, tuple[int, str]]
    """Path inside -> size and SHA-256."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for size, _ in self.files.values())


def write(out: Path, files: Mapping[str, Path], *, platform: str, python: str, lock: str) -> Facts:
    """Write a bundle with these files (path inside -> path here); a crash leaves no half of one.

    Raises ResourceError for a full disk and UsageError for a place that cannot be written.
    """
    listed = {name: (path.stat().st_size, sha256_of(path)) for name, path in sorted(files.items())}
    facts = Facts(platform=platform, python=python, lock=lock, files=listed)
    require_disk(out.absolute().parent, facts.size, f"write {out.name}")
    head = {
        "format": FORMAT, "platform": platform, "python": python, "lock": lock,
        "files": [{"path": name, "size": size, "sha256": digest} for name, (size, digest) in listed.items()],
    }  # fmt: skip
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}.tmp")
    try:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
            text = json.dumps(head, indent=1).encode()
            archive.addfile(_member(FACTS, len(text)), io.BytesIO(text))
            for name, (size, _) in listed.items():
                with files[name].open("rb") as file:
                    archive.addfile(_member(name, size), file)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that you may write to.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return facts


def read(bundle: Path) -> Facts:
    """What a bundle says of itself; UsageError when the file is none."""
    try:
        with tarfile.open(bundle, "r:") as archive:
            return _facts(archive, bundle)
    except (OSError, tarfile.TarError) as error:
        raise _none(bundle, str(error)) from error


def unpack(bundle: Path, target: Path) -> Facts:
    """Unpack a bundle into the folder `target`, which appears when every file is there and right.

    Raises UsageError for a file that is no bundle, SetupError for one that is damaged, ResourceError for a full disk.
    """
    work = target.with_name(f".{target.name}.work")
    shutil.rmtree(work, ignore_errors=True)  # left by one that was killed
    try:
        with tarfile.open(bundle, "r:") as archive:
            facts = _facts(archive, bundle)
            require_disk(target.parent, facts.size, f"unpack {bundle.name}")
            work.mkdir(parents=True)
            found = set()
            for member in archive:
                if member.name == FACTS:
                    continue
                content = archive.extractfile(member) if member.isfile() else None
                if content is None or member.name not in facts.files or member.name in found:
                    raise _damaged(bundle, f"{member.name} is not in its list")
                with content:
                    _checked(content, work / member.name, facts.files[member.name], bundle)
                found.add(member.name)
        missing = sorted(facts.files.keys() - found)
        if missing:
            raise _damaged(bundle, f"{missing[0]} is not in it")
        (work / FACTS).write_text(json.dumps({"platform": facts.platform, "python": facts.python, "lock": facts.lock}))
        replace_folder(work, target)
    except tarfile.TarError as error:
        raise _damaged(bundle, str(error)) from error
    except OSError as error:
        if error.errno in (28, 122):
            raise ResourceError(
                f"The disk became full while {bundle.name} was unpacked.", hint="Free some space and run it again."
            ) from error
        raise _none(bundle, error.strerror or str(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return facts


def check_fits(facts: Facts, *, platform: str, python: str, lock: str, name: str) -> None:
    """Raise SetupError, with what to do, unless a bundle was made for this system, this Python and this lock."""
    again = f"Make another where there is network: agd deps bundle --platform {platform} --python {python}."
    if facts.platform != platform:
        raise SetupError(f"{name} is for {facts.platform}, and this is {platform}.", hint=again)
    if facts.python != python:
        raise SetupError(
            f"{name} is for Python {facts.python}, and this is {python}.",
            hint=f"Name the right one: AGD_PYTHON=python{facts.python} ./agd ...; or: {again}",
        )
    if facts.lock != lock:
        raise SetupError(
            f"{name} was made for another version of this project: its uv.lock is not this one.", hint=again
        )


def _facts(archive: tarfile.TarFile, bundle: Path) -> Facts:
    first = archive.next()
    content = archive.extractfile(first) if first and first.name == FACTS and first.size < _LARGEST_FACTS else None
    if content is None:
        raise _none(bundle, f"it does not begin with {FACTS}")
    try:
        data: dict[str, Any] = json.loads(content.read())
        if data["format"] != FORMAT:
            raise UsageError(
                f"{bundle} has format {data['format']}, this release reads {FORMAT}.", hint="Make the bundle anew."
            )
        files = {str(one["path"]): (int(one["size"]), str(one["sha256"])) for one in data["files"]}
        facts = Facts(platform=str(data["platform"]), python=str(data["python"]), lock=str(data["lock"]), files=files)
    except (ValueError, KeyError, TypeError) as error:
        raise _none(bundle, f"its {FACTS} cannot be read") from error
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name:
            raise _damaged(bundle, f"{name} would lie elsewhere")
    return facts


def _checked(content: IO[bytes], place: Path, fact: tuple[int, str], bundle: Path) -> None:
    size, wanted = fact
    place.parent.mkdir(parents=True, exist_ok=True)
    digest, written = hashlib.sha256(), 0
    with place.open("wb") as file:
        while written <= size and (chunk := content.read(_CHUNK)):
            file.write(chunk)
            digest.update(chunk)
            written += len(chunk)
    if written != size or digest.hexdigest() != wanted:
        raise _damaged(bundle, f"{place.name} is not the file that was packed ({format_size(size)})")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    return member


def _none(bundle: Path, why: str) -> UsageError:
    return UsageError(f"{bundle} is no bundle of agd: {why}.", hint="Make one with: agd deps bundle -o agd.tar.")


def _damaged(bundle: Path, why: str) -> SetupError:
    return SetupError(f"The bundle {bundle} is damaged: {why}.", hint="Copy it here once more.")
