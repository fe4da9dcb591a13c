"""A bundle sets everything up without network: real uv, real pip, small wheels from an index on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_checkout import PYTHON, UV, Checkout
from tiny_model import TinyModel

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.installer import bundle, launch, manifest, models
from agentic_diffusion.installer import probe as probing
from agentic_diffusion.installer.programs import run
from agentic_diffusion.packages import offline, platforms
from small_index import SmallIndex, make_wheel

pytestmark = [pytest.mark.system, pytest.mark.skipif(UV is None, reason="there is no uv; `./agd dev test` has one")]


@dataclass
class Bundled:
    """A small checkout, a bundle of it, and how to run the launcher where there is no network."""

    small: Checkout
    tar: Path
    order: bundle.Order

    def command(self, *arguments: str) -> list[str]:
        return [*no_network(), str(self.small.root / "agd"), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.small.environment, capture_output=True, text=True, check=False, cwd="/"
        )


def no_network() -> list[str]:
    """What to put in front of a command so that it has no route; empty where that is not allowed."""
    for way in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return way
    return []


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SmallIndex]:
    assert UV is not None
    served = SmallIndex(tmp_path / "index")
    make_wheel(served.folder, "apple", "1.0")
    make_wheel(
        served.folder, "uv", UV.version_text,
        files={f"uv-{UV.version_text}.data/scripts/uv": f'#!/bin/sh\nexec {UV.path} "$@"\n'},
    )  # fmt: skip
    yield served
    served.close()


def download(index: SmallIndex) -> Callable[..., None]:
    """pip, which knows no index but the small one."""
    environment = {"PATH": os.environ["PATH"], "PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull}

    def with_pip(arguments: list[str], purpose: str) -> None:
        quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        run([PYTHON, "-m", "pip", "download", *quiet, *arguments], purpose=purpose, tool="pip", env=environment)

    return with_pip


@pytest.fixture
def bundled(
    small: Checkout, index: SmallIndex, tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bundled:
    """A bundle of the small project, which needs apple, on a machine with nothing but Python."""
    assert UV is not None
    project = small.root / "pyproject.toml"
    project.write_text(
        project.read_text().replace("[project.scripts]", 'dependencies = ["apple"]\n\n[project.scripts]')
    )
    (small.root / "small" / "small.py").write_text("def main():\n    import apple, torch\n    print(apple.version)\n")
    environment = {"PATH": os.environ["PATH"], "UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(tmp_path / "cache 1")}
    subprocess.run(
        [UV.path, "lock", "--quiet", "--python", PYTHON, "--project", small.root], env=environment, check=True
    )
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home here"))
    models.obtain(tiny.entry, tiny.supply(source=str(tiny.folder / "hub")))
    machine = probing.this_machine()
    order = bundle.Order(
        root=small.root, platform=platforms.name_of(machine), python=machine.python, find_links=(tmp_path / "wheels",)
    )
    tar = tmp_path / "agd.tar"
    bundle.make(order, tar, manifest.load(tiny.manifest), download(index))
    home = small.environment["HOME"]
    small.environment = {
        "PATH": "/usr/bin:/bin", "HOME": home, "AGD_PYTHON": PYTHON, "UV_CACHE_DIR": str(tmp_path / "cache 2"),
        "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip
    return Bundled(small, tar, order)


def test_from_a_bundle_without_network_to_a_result(bundled: Bundled) -> None:
    names = sorted(offline.read(bundled.tar).files)
    assert [name for name in names if name.startswith("models/")] == [
        f"models/tiny/{name}"
        for name in ("checksums.json", "config.json", "model.safetensors", "source.json", "tokenizer.json")
    ]
    assert {name.split("-")[0] for name in names if name.startswith("wheels/")} == {
        "wheels/apple", "wheels/torch", "wheels/uv",
    }  # fmt: skip
    planned = bundled.run("--bundle", str(bundled.tar), "setup", "--dry-run", "--json")
    steps = {step["name"]: step for step in json.loads(planned.stdout)["steps"]}
    assert list(steps) == ["uv", "environment", "torch", "model"], planned.stderr
    assert {step["size"]["fetch"] for step in steps.values()} == {0}
    assert not bundled.small.state.exists()

    first = bundled.run("--bundle", str(bundled.tar), "generate", "x")

    assert first.stdout == "1.0\n", first.stderr
    assert not (bundled.small.state / "bundle").exists(), "what was unpacked is gone"
    assert bundled.run("generate", "x").stderr == "", "later runs need no bundle"
    assert bundled.run("uninstall", "--models").returncode == 0
    assert not bundled.small.state.exists()


@pytest.mark.parametrize("step", ["bundle", "uv"])
def test_killed_in_a_step_the_next_run_finishes_or_uninstall_leaves_nothing(bundled: Bundled, step: str) -> None:
    before = {path.name for path in bundled.small.root.iterdir()}
    script = bundled.small.root.parent / "killed.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(bundled.small.root / "src")!r})
        from pathlib import Path
        from agentic_diffusion.installer import apply, layout, plan, setup

        real = apply.Journal.write
        def killed(self, event, step, owns=""):
            if (event, step) == ("end", {step!r}):
                os.kill(os.getpid(), signal.SIGKILL)
            real(self, event, step, owns)
        apply.Journal.write = killed
        setup.set_up(
            layout.checkout(Path({str(bundled.small.root)!r})),
            setup.Request(wanted=plan.DEFAULT, offline=True, bundle={str(bundled.tar)!r}),
        )
        """)
    )
    done = subprocess.run(
        [*no_network(), PYTHON, "-I", "-S", script], env=bundled.small.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr

    if step == "uv":
        assert bundled.run("uninstall", "--models").returncode == 0
    else:
        after = bundled.run("--bundle", str(bundled.tar), "generate", "x")
        assert after.stdout == "1.0\n", after.stderr
        assert f"the step {step} did not end last time" in after.stderr
        assert bundled.run("uninstall", "--models").returncode == 0
    assert {path.name for path in bundled.small.root.iterdir()} == before


def test_bundles_that_do_not_fit_or_are_damaged(bundled: Bundled, tmp_path: Path) -> None:
    root, here = bundled.small.root, bundled.order.machine

    def fails(kind: type[Exception], words: str, path: Path) -> None:
        with pytest.raises(kind, match=words):
            bundle.announced(tmp_path / "x", path, root, here)
            offline.unpack(path, tmp_path / "x")
        assert not (tmp_path / "x").exists()
        assert not (tmp_path / ".x.work").exists()

    fails(UsageError, "is no bundle of agd", root / "agd")
    fails(UsageError, "is no bundle of agd", root / "nowhere.tar")

    content = bundled.tar.read_bytes()
    spoilt = tmp_path / "spoilt.tar"
    place = content.rindex(b"weights")
    spoilt.write_bytes(content[:place] + b"W" + content[place + 1 :])
    fails(SetupError, "is damaged: model.safetensors is not the file that was packed", spoilt)
    spoilt.write_bytes(content[: len(content) // 2])
    fails(SetupError, "is damaged", spoilt)

    with tarfile.open(bundled.tar) as good, tarfile.open(spoilt, "w") as more:
        for member in good:
            more.addfile(member, good.extractfile(member))
        evil = tarfile.TarInfo("wheels/evil.whl")
        evil.type, evil.linkname = tarfile.SYMTYPE, "/etc/passwd"
        more.addfile(evil)
    fails(SetupError, r"wheels/evil\.whl is not in its list", spoilt)

    lock = root / "uv.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    fails(SetupError, "was made for another version of this project", bundled.tar)


def test_a_list_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    offline.write(tmp_path / "a.tar", {"../elsewhere": file}, platform="linux-x86_64", python="3.11", lock="0")

    with pytest.raises(SetupError, match="elsewhere would lie elsewhere"):
        offline.read(tmp_path / "a.tar")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    for name in ("a.tar", "b.tar"):
        facts = offline.write(tmp_path / name, {"one": tmp_path / "one"}, platform="p", python="3.11", lock="l")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert offline.unpack(tmp_path / "a.tar", tmp_path / "out") == facts
    assert (tmp_path / "out" / "one").read_text() == "1"
    for change, words in (({"platform": "q"}, "is for p, and this is q"), ({"python": "3.12"}, "is for Python 3.11")):
        asked = {"platform": "p", "python": "3.11", "lock": "l", "name": "a.tar"} | change
        with pytest.raises(SetupError, match=words):
            offline.check_fits(facts, **asked)


def test_the_flag_is_taken_out_of_the_command_line() -> None:
    assert launch.split_bundle(["--bundle", "a.tar", "generate", "--bundle", "x"]) == (
        "a.tar", ["generate", "--bundle", "x"],
    )  # fmt: skip
    assert launch.split_bundle(["--quiet", "--bundle=b.tar"]) == ("b.tar", ["--quiet"])
    assert launch.split_bundle(["--log-level", "info", "runs"]) == ("", ["--log-level", "info", "runs"])
    assert launch.first_word(["--bundle", "a.tar", "setup"]) == "setup"
