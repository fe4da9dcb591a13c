"""What every Go program under test is linked with, compiled once for every Go: our `testing`, and the reporting `agd`.

They lie in the data folder, under a name made from the sources and the version of Go, and are put there whole.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from agentic_diffusion.installer import toolchains
from agentic_diffusion.installer.made_once import made_once
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.toolchains import Found

SOURCES = Path(__file__).with_name("workers")
PACKAGES = {"testing": "go_testing.go", "agd": "go_main.go"}
"""Import paths and the files that they are made from; the second one uses the first."""


def tools(found: Found) -> Path:
    """The folder with Go's `compile` and `link`."""
    return next(iter(sorted((found.root / "pkg" / "tool").glob("*/compile")))).parent


def shared(found: Found, library: Path) -> Path:
    """The folder with the compiled packages; compiled now where that was not yet done."""
    digest = hashlib.sha256(found.version.encode())
    for file in PACKAGES.values():
        digest.update((SOURCES / file).read_bytes())
    target = toolchains.folder_of("go-worker") / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    return made_once(target, "compiling the worker for Go", lambda work: _compile(found, library, work))


def _compile(found: Found, library: Path, work: Path) -> Path:
    """The folder with the compiled packages, in the work folder."""
    made, configuration = work / "made", work / "importcfg"
    made.mkdir(parents=True)
    known = {path.relative_to(library).with_suffix("").as_posix(): path for path in library.rglob("*.a")}
    for name, file in PACKAGES.items():
        known[name] = made / f"{name}.a"
        configuration.write_text("".join(f"packagefile {path}={place}\n" for path, place in known.items()))
        run(
            [str(tools(found) / "compile"), "-p", name, "-complete", "-importcfg", str(configuration), "-trimpath",
             str(SOURCES), "-o", str(known[name]), str(SOURCES / file)],
            purpose="compile the worker for Go", tool="go", env={"PATH": os.defpath},
        )  # fmt: skip
    return made
