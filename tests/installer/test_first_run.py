"""First runs for real, on a small project that needs no network: real uv, real processes, its own torch and model.

The small project has our launcher and installer, a build backend of its own (so that nothing is fetched to build it), a
wheel that is called torch, and a model folder. All steps are the real ones.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_model import TinyModel

from agentic_diffusion.packages import uv

ROOT = Path(__file__).parents[2]
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
UV = uv.find([shutil.which("uv"), str(ROOT / ".agd" / "tools" / "uv" / "bin" / "uv")])
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(UV is None, reason="there is no uv here; `./agd dev test` has one"),
]

PYPROJECT = """\
[project]
name = "agentic-diffusion"
version = "0.1.0"
requires-python = ">=3.11"

[project.scripts]
agd = "small:main"

[dependency-groups]
dev = []

[build-system]
requires = []
build-backend = "backend"
backend-path = ["build"]
"""

BACKEND = """\
import base64, hashlib, os, pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    while os.path.exists(os.environ.get("AGD_TEST_WAIT", "")):
        time.sleep(0.02)
    info = "agentic_diffusion-0.1.0.dist-info"
    files = {
        "small.pth": str(pathlib.Path.cwd() / "small"),
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: agentic-diffusion\\nVersion: 0.1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nagd = small:main\\n",
    }
    record = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = "agentic_diffusion-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, content)
    return name
"""

SMALL = """\
import sys
def main():
    import torch
    print("generated with torch", torch.__version__, sys.argv[1:])
"""

LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "agentic-diffusion"
version = "0.1.0"
source = { editable = "." }

[package.dev-dependencies]
dev = []

[package.metadata]

[package.metadata.requires-dev]
dev = []
"""


@dataclass
class Checkout:
    """The small project and the machine around it."""

    root: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / ".agd"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the launcher in a process group of its own."""
        process = subprocess.Popen(
            [self.root / "agd", *arguments], env=self.environment | environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.root.parent, start_new_session=True,
        )  # fmt: skip
        self.running.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the launcher to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def wait_for_step(self, name: str, event: str = "begin") -> None:
        """Until the journal says so."""
        journal = self.state / "journal.jsonl"
        for _ in range(3000):
            if journal.exists() and f'"event": "{event}", "step": "{name}"' in journal.read_text():
                return
            time.sleep(0.02)
        raise AssertionError(f"{event} {name} was never reached")


@pytest.fixture
def checkout(tmp_path: Path, tiny: TinyModel) -> Iterator[Checkout]:
    """A fresh clone, an empty home, no network, a find-links folder with a torch, a model folder."""
    root = tmp_path / "fresh clone"
    root.mkdir()
    shutil.copy(ROOT / "agd", root / "agd")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    (root / "src/agentic_diffusion/installer/manifest.toml").write_text(tiny.manifest.read_text())
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "uv.lock").write_text(LOCK)
    (root / "build").mkdir()
    (root / "build" / "backend.py").write_text(BACKEND)
    (root / "small").mkdir()
    (root / "small" / "small.py").write_text(SMALL)
    torch_wheel(tmp_path / "wheels")
    assert UV is not None
    environment = {
        "PATH": f"{Path(UV.path).parent}:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "AGD_PYTHON": PYTHON,
        "AGD_OFFLINE": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "UV_CACHE_DIR": str(tmp_path / "cache"),
        "AGD_MODEL_SOURCE": str(tiny.folder / "hub"), "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip
    made = Checkout(root, environment)
    yield made
    for process in made.running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def torch_wheel(folder: Path) -> None:
    """A wheel that is called torch and holds its version alone."""
    folder.mkdir()
    info = "torch-2.13.0+cpu.dist-info"
    files = {
        "torch/__init__.py": '__version__ = "2.13.0+cpu"\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "torch-2.13.0+cpu-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))


def test_from_nothing_to_a_result_and_back(checkout: Checkout) -> None:
    before = {path.name for path in checkout.root.iterdir()}

    first = checkout.run("generate", "something")
    assert first.stdout == "generated with torch 2.13.0+cpu ['generate', 'something']\n", first.stderr
    assert first.returncode == 0
    assert "torch==2.13.0+cpu: the CPU wheel 2.13.0+cpu that pip's find-links offer" in first.stderr

    second = checkout.run("generate", "something")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    again = checkout.run("setup")
    assert (again.returncode, again.stderr) == (0, "everything is ready\n")

    assert {path.name for path in checkout.root.iterdir()} - before == {".agd"}, "all that is made lies there"
    gone = checkout.run("uninstall", "--models")
    assert gone.returncode == 0
    assert f"removed {checkout.state} (" in gone.stderr
    assert "/models (" in gone.stderr
    assert {path.name for path in checkout.root.iterdir()} == before
    assert "nothing to remove" in checkout.run("uninstall").stderr


def test_a_dry_run_shows_and_changes_nothing(checkout: Checkout) -> None:
    done = checkout.run("setup", "--dry-run")

    assert done.returncode == 0
    assert "environment: Python packages as locked" in done.stdout
    assert not checkout.state.exists()
    assert not Path(checkout.environment["HOME"]).exists()
    assert not Path(checkout.environment["UV_CACHE_DIR"]).exists()

    data = json.loads(checkout.run("setup", "--dry-run", "--json").stdout)
    assert [step["name"] for step in data["steps"]] == ["environment", "torch", "model"]


def test_a_light_command_sets_up_no_torch_and_no_model(checkout: Checkout) -> None:
    checkout.run("runs", "list")

    assert (checkout.state / "venv").exists()
    assert not list(checkout.state.glob("venv/lib/python3*/site-packages/torch"))
    assert not Path(checkout.environment["HOME"]).exists()


def test_two_first_runs_share_one_set_up(checkout: Checkout, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    first = checkout.start("generate", "1", AGD_TEST_WAIT=str(wait))
    checkout.wait_for_step("environment")
    second = checkout.start("generate", "2", AGD_TEST_WAIT=str(wait))
    assert second.stderr is not None
    assert "a set-up is under way in another process" in second.stderr.readline()
    wait.unlink()

    out, err = first.communicate(timeout=120)
    assert (first.returncode, out) == (0, "generated with torch 2.13.0+cpu ['generate', '1']\n"), err
    out, err = second.communicate(timeout=120)
    assert (second.returncode, out) == (0, "generated with torch 2.13.0+cpu ['generate', '2']\n"), err
    journal = (checkout.state / "journal.jsonl").read_text()
    assert journal.count('"event": "begin", "step": "environment"') == 1


def test_interrupted_in_the_middle_of_a_step_the_next_run_works(checkout: Checkout, tmp_path: Path) -> None:
    wait = tmp_path / "wait"
    wait.touch()
    process = checkout.start("generate", "1", AGD_TEST_WAIT=str(wait))
    checkout.wait_for_step("environment")
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; run the same command again to go on" in err
    assert "Traceback" not in err
    wait.unlink()

    after = checkout.run("generate", "2")
    assert after.stdout == "generated with torch 2.13.0+cpu ['generate', '2']\n", after.stderr
    assert "the step environment did not end last time: it is begun anew" in after.stderr


@pytest.mark.parametrize("step", ["environment", "torch", "model"])
def test_killed_right_after_any_step_has_begun_the_next_run_works(checkout: Checkout, step: str) -> None:
    script = checkout.root / "killed.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(checkout.root / "src")!r})
        from pathlib import Path
        from agentic_diffusion.installer import actions, layout, plan, setup

        class Killed(actions.Actions):
            def table(self):
                def killed(step):
                    real(step)
                    os.kill(os.getpid(), signal.SIGKILL)
                table = super().table()
                real = table[{step!r}]
                return {{**table, {step!r}: killed}}

        setup.Actions = Killed
        setup.set_up(layout.checkout(Path({str(checkout.root)!r})), setup.Request(wanted=plan.DEFAULT, offline=True))
        """)
    )
    killed = subprocess.run(
        [PYTHON, "-I", "-S", script], env=checkout.environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    after = checkout.run("generate", "x")
    assert after.returncode == 0, after.stderr
    assert f"the step {step} did not end last time" in after.stderr


def test_a_changed_lock_updates_the_environment_and_keeps_torch(checkout: Checkout) -> None:
    assert checkout.run("setup").returncode == 0
    with (checkout.root / "uv.lock").open("a") as file:
        file.write("# changed\n")

    again = checkout.run("generate", "x")

    assert again.stdout.startswith("generated with torch"), again.stderr
    assert "[1/1] environment" in again.stderr


def test_offline_with_nothing_fetched_is_one_clear_error(checkout: Checkout) -> None:
    del checkout.environment["AGD_MODEL_SOURCE"]

    done = checkout.run("--offline", "generate", "x")

    assert done.returncode == 4
    assert done.stdout == ""
    assert "error: Offline, the set-up cannot be finished: still to be fetched are model (" in done.stderr
    assert not (checkout.state / "venv").exists()

    told = json.loads(checkout.run("--offline", "generate", "x", "--json").stderr)
    assert (told["error"], told["exit_code"]) == ("SetupError", 4)


def test_a_package_that_no_cache_holds_is_named_offline(checkout: Checkout) -> None:
    here = 'source = { editable = "." }\n'
    needs_far = LOCK.replace(here, here + 'dependencies = [{ name = "far" }]\n', 1)
    far = f"""
[[package]]
name = "far"
version = "1.0"
source = {{ registry = "http://127.0.0.1:9/simple" }}
wheels = [{{ url = "http://127.0.0.1:9/far-1.0-py3-none-any.whl", hash = "sha256:{"0" * 64}" }}]
"""
    (checkout.root / "uv.lock").write_text(needs_far + far)

    done = checkout.run("runs", "list")

    assert done.returncode == 4
    assert "Offline, uv could not install the locked packages" in done.stderr
    assert "far" in done.stderr


def test_a_wrong_model_file_is_refused_and_the_next_run_with_a_right_one_works(
    checkout: Checkout, tiny: TinyModel
) -> None:
    weights = tiny.folder / "hub" / "model.safetensors"
    right = weights.read_bytes()
    weights.write_bytes(right[:10])

    refused = checkout.run("generate", "x")
    assert refused.returncode == 4
    assert f"model.safetensors is truncated: 10 of {len(right)} bytes" in refused.stderr
    assert not list(Path(checkout.environment["HOME"]).glob("**/model.safetensors"))

    weights.write_bytes(right)
    assert checkout.run("generate", "x").returncode == 0


@pytest.fixture
def stranger() -> Iterator[Path]:
    """A folder that another user can reach; root ignores the modes of files, so these tests change the user."""
    if os.geteuid() != 0 or not shutil.which("setpriv") or not Path("/usr/bin/python3").exists():
        pytest.skip("changing the user needs root, setpriv and a Python that anyone can start")
    with tempfile.TemporaryDirectory(prefix="agd-stranger-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(
    checkout: Checkout, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The launcher of a copy in `folder`, run by an ordinary user."""
    clone = folder / "clone"
    if not clone.exists():
        shutil.copytree(checkout.root, clone)
    changed = {"AGD_PYTHON": "/usr/bin/python3", "PATH": "/usr/bin:/bin", "UV_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", clone / "agd", *arguments],
        env=checkout.environment | changed | environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip


def test_a_checkout_that_may_not_be_written(checkout: Checkout, stranger: Path) -> None:
    done = as_nobody(checkout, stranger, "setup", HOME=str(stranger / "home"))

    assert done.returncode == 4
    assert f"error: {stranger}/clone/.agd cannot be written: Permission denied." in done.stderr


def test_a_home_that_may_not_be_written_is_said_before_anything_is_fetched(checkout: Checkout, stranger: Path) -> None:
    clone = stranger / "clone"
    shutil.copytree(checkout.root, clone)
    os.chown(clone, 65534, 65534)
    home = stranger / "home"
    home.mkdir(mode=0o755)

    done = as_nobody(checkout, stranger, "setup", HOME=str(home), AGD_OFFLINE="", AGD_MODEL_SOURCE="")

    assert done.returncode == 4
    assert f"error: The data folder {home}/.local/share/agentic-diffusion cannot be written" in done.stderr
    assert "AGD_HOME" in done.stderr
    assert sorted(path.name for path in (clone / ".agd").iterdir()) == ["lock"], "nothing was begun"
