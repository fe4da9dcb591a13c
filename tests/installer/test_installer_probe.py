"""Facts are gathered without changing anything, and asked for only when they decide something."""

from __future__ import annotations

import http.server
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import manifest, plan, probe
from agentic_diffusion.installer.layout import Layout, checkout


@pytest.fixture
def project(tmp_path: Path) -> Layout:
    """A checkout with a lock."""
    place = checkout(tmp_path / "checkout")
    assert place.root is not None
    place.root.mkdir()
    (place.root / "uv.lock").write_text("version = 1\n")
    (place.root / "pyproject.toml").write_text("[project]\n")
    return place


def test_probing_changes_nothing(project: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))

    facts = probe.probe(project, manifest.load().model(), wanted=plan.DEFAULT, offline=True)

    assert facts.environment == frozenset()
    assert facts.model_damage == (f"it is not at {tmp_path}/home/models/smollm2-135m-instruct",)
    assert facts.torch.installed == ""
    assert not facts.torch.cpu_index_answers, "offline, nobody is asked"
    assert facts.machine.python == sys.version_info[:2]
    assert not project.state.exists()
    assert not (tmp_path / "home").exists()


def test_an_environment_counts_while_lock_and_python_are_the_same(project: Layout) -> None:
    assert project.root is not None
    project.python.parent.mkdir(parents=True)
    project.python.touch()
    record = {"key": probe.locked_key(project.root), "parts": ["core", "dev"]}
    project.marker.write_text(json.dumps(record))
    assert probe.environment_parts(project) == {"core", "dev"}

    project.python.unlink()
    assert probe.environment_parts(project) == frozenset()
    project.python.touch()
    (project.root / "uv.lock").write_text("version = 2\n")
    assert probe.environment_parts(project) == frozenset()
    (project.root / "uv.lock").write_text("version = 1\n")
    assert probe.environment_parts(project) == {"core", "dev"}
    moved = checkout(project.root.rename(project.root.with_name("moved")))
    assert probe.environment_parts(moved) == frozenset(), "the environment leads to the old place"
    assert moved.root is not None
    project = checkout(moved.root.rename(project.root))
    assert probe.environment_parts(project) == {"core", "dev"}
    project.marker.write_text("{")
    assert probe.environment_parts(project) == frozenset()


def test_the_installed_torch_is_read_from_its_metadata(project: Layout) -> None:
    packages = project.venv / "lib" / "python3.11" / "site-packages"
    (packages / "torch_geometric-2.0.dist-info").mkdir(parents=True)
    assert probe.installed_torch(project) == ""

    (packages / "torch-2.13.0+cpu.dist-info").mkdir()
    assert probe.installed_torch(project) == "2.13.0+cpu"


@pytest.mark.parametrize(("status", "answers"), [(200, True), (404, False)])
def test_the_cpu_index_is_asked_for_torch_by_head(status: int, answers: bool) -> None:
    asked: list[tuple[str, str]] = []

    class Index(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append((self.command, self.path))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert probe.cpu_index_answers(f"http://127.0.0.1:{server.server_address[1]}/whl/cpu") is answers
        server.shutdown()
    assert asked == [("HEAD", "/whl/cpu/torch/")]


def test_an_index_that_cannot_be_reached_does_not_answer() -> None:
    assert not probe.cpu_index_answers("http://127.0.0.1:9/whl/cpu")


def test_a_bubblewrap_counts_only_when_it_runs(
    project: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = project.tools / "bubblewrap" / "usr" / "bin" / "bwrap"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probe.bubblewrap_problem(str(own)) == "bwrap: setting up uid map: Permission denied"
    assert probe.working_bubblewrap(project) == ""

    own.write_text("#!/bin/sh\nexit 0\n")
    assert probe.working_bubblewrap(project) == str(own)
    assert probe.bubblewrap_problem(str(tmp_path / "missing")) != ""


def test_systems_that_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SetupError, match="'win32' is not supported") as caught:
        probe.this_machine()
    assert "WSL" in caught.value.hint

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SetupError, match=r"too old: 3\.11 or newer is needed"):
        probe.this_machine()


def test_what_a_python_has() -> None:
    assert "venv" in probe.modules_of(sys.executable)
    assert probe.modules_of("/no/such/python") == frozenset()


def test_a_gpu_is_seen_by_its_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has one")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probe.gpu() == ""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert probe.gpu() == "nvidia-smi is here"
    assert shutil.which("nvidia-smi") == str(tmp_path / "nvidia-smi")
