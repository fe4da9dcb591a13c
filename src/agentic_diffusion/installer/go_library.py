"""Go's standard library, compiled once, so that programs are compiled and linked without the `go` command's cache.

`go build` wants a warm cache that it may write to. Here every package lies compiled in a folder of its own, named by
its import path (`encoding/json.a`), and `go tool compile` and `go tool link` find it there: 15 ms a program, and a
sandbox needs to read that folder alone. What needs a network or a compiler of other languages is left out.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import toolchains
from agentic_diffusion.installer.made_once import made_once
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.toolchains import Found

FOLDER = "compiled"
"""The folder of the compiled packages inside a toolchain of our own."""
PACKAGES = (
    "bufio", "bytes", "cmp", "container/...", "context", "crypto/hmac", "crypto/md5", "crypto/rand", "crypto/sha1",
    "crypto/sha256", "crypto/sha512", "embed", "encoding/...", "errors", "fmt", "hash/...", "html", "io/...", "iter",
    "log", "maps", "math/...", "net/url", "os", "os/signal", "path/...", "reflect", "regexp/...", "runtime",
    "runtime/debug", "slices", "sort", "strconv", "strings", "structs", "sync/...", "text/...", "time", "unicode/...",
    "unique", "unsafe",
)  # fmt: skip
"""What programs under test may import; all that these need is compiled, too."""
_NEWER = {"iter": (1, 23), "unique": (1, 23), "structs": (1, 23)}
"""Packages that older versions lack."""


def library(found: Found) -> Path:
    """The folder with the compiled packages of a Go; compiled now (about 30 s) where that was not yet done.

    Raises SetupError when they cannot be compiled or written.
    """
    own = found.root / FOLDER
    if own.is_dir():
        return own
    target = toolchains.folder_of("go-compiled") / found.version

    def make(work: Path) -> Path:
        compile_into(found.root, work / FOLDER)
        return work / FOLDER

    return made_once(target, "compiling Go's standard library", make)


def compile_into(root: Path, target: Path) -> None:
    """Compile the packages of the Go at `root` into the new folder `target`."""
    events.say("Go's standard library is compiled once; this takes about half a minute")
    version = tuple(map(int, toolchains.version_of("go", root / "bin" / "go").split(".")))
    if not version:
        raise SetupError(f"The Go at {root} does not run.", hint="install it again")
    names = [name for name in PACKAGES if version >= _NEWER.get(name, ())]
    with tempfile.TemporaryDirectory(dir=target.parent) as cache:
        listed = run(
            [str(root / "bin" / "go"), "list", "-export", "-deps", "-trimpath",
             "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}", *names],
            purpose="compile Go's standard library", tool="go", env=variables(root, Path(cache)), cwd=cache,
        )  # fmt: skip
        target.mkdir()
        for line in listed.splitlines():
            name, _, compiled = line.partition("=")
            place = target / f"{name}.a"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(compiled, place)


def variables(root: Path, cache: Path) -> dict[str, str]:
    """The environment in which `go` works without network and touches nothing but `cache`."""
    return {
        "PATH": os.environ.get("PATH", os.defpath), "GOROOT": str(root), "HOME": str(cache), "GOCACHE": str(cache),
        "GOPATH": str(cache / "path"), "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off",
        "GOTOOLCHAIN": "local", "GOENV": "off", "CGO_ENABLED": "0", "GOTELEMETRY": "off",
    }  # fmt: skip
