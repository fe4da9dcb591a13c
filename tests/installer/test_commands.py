"""The launcher's commands from the inside: the same real steps as in test_first_run, one process."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_checkout import LOCK, UV, Checkout
from tiny_model import TinyModel

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import commands, launch, layout, setup
from agentic_diffusion.installer.stamp import Stamp

pytestmark = pytest.mark.skipif(UV is None, reason="there is no uv; `./agd dev test` has one")


class Machine:
    """The small checkout, its environment in this process, and what the launcher handed over to."""

    def __init__(self, small: Checkout) -> None:
        self.small = small
        self.root = small.root
        self.handed: list[tuple[str, list[str]]] = []

    def main(self, *arguments: str) -> int:
        """The launcher after it saw that something is to be done."""
        words = list(arguments)
        return commands.main(
            str(self.root), launch.first_word(words), words, needs=launch.needs,
            hand_over=lambda bubblewrap, rest: self.handed.append((bubblewrap, rest)),
        )  # fmt: skip


@pytest.fixture
def machine(small: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """No network, an empty home; the handler of SIGTERM is put back."""
    for name in [name for name in os.environ if name.startswith(("AGD_", "PIP_", "UV_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in small.environment.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    yield Machine(small)
    signal.signal(signal.SIGTERM, before)


def test_what_is_missing_is_made_and_the_real_command_gets_the_rest(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main("generate", "a prompt") == 0

    said = capsys.readouterr()
    assert machine.handed == [("", ["generate", "a prompt"])]
    assert said.out == ""
    steps = [line.split(":")[0] for line in said.err.splitlines() if line.startswith("[")]
    assert steps == ["[1/3] environment", "[2/3] torch", "[3/3] model"]
    stamp = Stamp.read(machine.root / ".agd" / "stamp.json")
    assert stamp is not None
    assert stamp.covers(launch.needs(["generate"]), str(machine.root))

    assert machine.main("setup") == 0
    assert capsys.readouterr().err == "everything is ready\n"


def test_a_dry_run_shows_and_changes_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.main("setup", "--dry-run") == 0
    assert "  environment: Python packages as locked (" in capsys.readouterr().out

    assert machine.main("setup", "--dry-run", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in data["steps"]] == ["environment", "torch", "model"]
    assert not (machine.root / ".agd").exists()
    assert not Path(machine.small.environment["HOME"]).exists()
    assert not Path(machine.small.environment["UV_CACHE_DIR"]).exists()


def test_what_a_plan_says_of_places_licences_and_profiles(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.main("setup", "--dry-run", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert {place["step"]: place["undone_by"] for place in data["writes"]} == {
        "environment": "agd uninstall", "torch": "agd uninstall", "model": "agd uninstall --models",
    }  # fmt: skip
    assert [place["place"] for place in data["writes"]] == [step["place"] for step in data["steps"]]
    assert data["licences"] == ["Apache-2.0", "BSD-3-Clause"]

    assert machine.main("setup", "--dry-run", "--json", "--profile", "minimal") == 0
    assert [step["name"] for step in json.loads(capsys.readouterr().out)["steps"]] == ["environment"]
    assert machine.main("setup", "--profile", "huge") == 2
    assert "invalid choice: 'huge'" in capsys.readouterr().err


def test_a_changed_lock_updates_the_environment_and_keeps_torch(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main("setup") == 0
    with (machine.root / "uv.lock").open("a") as file:
        file.write("# changed\n")
    capsys.readouterr()

    assert machine.main("generate") == 0

    assert "[1/1] environment" in capsys.readouterr().err
    assert list(machine.root.glob(".agd/venv/lib/python3*/site-packages/torch/__init__.py"))


def test_offline_with_nothing_fetched_is_one_clear_error(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGD_MODEL_SOURCE")

    assert machine.main("generate", "x") == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: Offline, the set-up cannot be finished: still to be fetched are model (")
    assert not (machine.root / ".agd" / "venv").exists()
    assert machine.handed == []

    assert machine.main("generate", "x", "--json") == 4
    told = json.loads(capsys.readouterr().err)
    assert (told["error"], told["exit_code"]) == ("SetupError", 4)


def test_a_package_that_no_cache_holds_is_named_offline(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    here = 'source = { editable = "." }\n'
    needs_far = LOCK.replace(here, here + 'dependencies = [{ name = "far" }]\n', 1)
    far = f"""
[[package]]
name = "far"
version = "1.0"
source = {{ registry = "http://127.0.0.1:9/simple" }}
wheels = [{{ url = "http://127.0.0.1:9/far-1.0-py3-none-any.whl", hash = "sha256:{"0" * 64}" }}]
"""
    (machine.root / "uv.lock").write_text(needs_far + far)

    assert machine.main("runs", "list") == 4

    said = capsys.readouterr().err
    assert "error: Offline, uv could not install the locked packages: " in said
    assert "far" in said


def test_a_wrong_model_file_is_refused_and_the_next_run_with_a_right_one_works(
    machine: Machine, tiny: TinyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tiny.folder / "hub" / "model.safetensors"
    right = weights.read_bytes()
    weights.write_bytes(right[:10])

    assert machine.main("generate", "x") == 4
    assert f"model.safetensors is truncated: 10 of {len(right)} bytes" in capsys.readouterr().err
    assert not list(Path(machine.small.environment["HOME"]).glob("**/model.safetensors"))

    weights.write_bytes(right)
    assert machine.main("generate", "x") == 0
    assert "the step model did not end last time: it is begun anew" in capsys.readouterr().err


def test_where_pip_has_an_index_the_locked_set_is_installed_by_its_hashes(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's addresses are those of the default index; through another one only the hashes can be kept."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    assert machine.main("runs") == 0, capsys.readouterr().err

    assert list(machine.root.glob(".agd/venv/lib/python3*/site-packages/agentic_diffusion-0.1.0.dist-info"))


def test_uninstall_removes_what_was_made_and_says_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in machine.root.iterdir())
    assert machine.main("setup") == 0
    capsys.readouterr()

    assert machine.main("uninstall") == 0
    assert capsys.readouterr().err.startswith(f"removed {machine.root}/.agd (")
    assert sorted(path.name for path in machine.root.iterdir()) == before

    assert machine.main("uninstall", "--models") == 0
    assert "/models (" in capsys.readouterr().err
    assert sorted(path.name for path in machine.root.iterdir()) == before

    assert machine.main("uninstall", "--models") == 0
    assert capsys.readouterr().err == "there was nothing to remove\n"


def test_an_error_that_no_step_foresaw_is_a_sentence(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.root / "uv.lock").unlink()
    (machine.root / "uv.lock").mkdir()

    assert machine.main("runs") == 4

    said = capsys.readouterr().err
    assert said.splitlines()[-2].startswith("error: ")
    assert "uv.lock" in said
    assert "Traceback" not in said


def test_the_end_by_a_signal_is_the_way_of_ctrl_c(machine: Machine) -> None:
    assert machine.main("setup", "--dry-run") == 0

    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_tests_of_a_project_run_with_their_counts_last(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    """pytest and coverage are those of this environment, lent to the small one."""
    assert machine.main("setup", "--dev") == 0
    packages = next(machine.root.glob(".agd/venv/lib/python3*/site-packages"))
    import pytest as lent

    (packages / "lent.pth").write_text(f"{Path(lent.__file__).parents[1]}\n")
    (machine.root / "test_small.py").write_text("def test_one(): pass\ndef test_two(): assert False\n")
    capfd.readouterr()

    assert machine.main("dev", "test", "-p", "no:cacheprovider") == 1

    out = capfd.readouterr().out
    assert "1 failed, 1 passed" in out
    assert "test_small.py" in out.split("1 failed, 1 passed")[1], "coverage is printed after the tests"
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_an_installed_package_says_what_it_has(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "data"))
    here = layout.installed()
    assert here.venv == Path(sys.prefix)

    assert commands.run_setup(here, dry_run=True) == 0
    assert "environment" in capsys.readouterr().out
    assert setup.uninstall(here, with_models=True) == []


def test_the_launcher_becomes_the_real_command_when_all_is_ready(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last step, which would replace this process, is kept from happening."""
    became: list[tuple[str, list[str], dict[str, str]]] = []

    def keep(program: str, words: list[str], environment: dict[str, str]) -> None:
        became.append((program, words, environment))

    monkeypatch.setattr(launch, "_ROOT", str(machine.root))
    monkeypatch.setattr(os, "execve", keep)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")

    assert launch.main(["--offline", "runs", "list"]) == 0

    (program, words, environment), *_ = became
    assert program == f"{machine.root}/.agd/venv/bin/python"
    assert words == [program, "-P", f"{machine.root}/.agd/venv/bin/agd", "runs", "list"]
    assert environment["AGD_OFFLINE"] == "1"
    assert "PYTHONPATH" not in environment

    became.clear()
    launch.hand_over("/our/bwrap", ["x"])
    assert became[0][2]["AGD_BWRAP"] == "/our/bwrap"


def test_a_manifest_of_the_checkout_is_the_one_that_counts(machine: Machine) -> None:
    place = layout.checkout(machine.root)
    (place.manifest).write_text("no manifest")

    with pytest.raises(SetupError, match="cannot be read"):
        setup.plan_for(place, setup.Request(wanted=frozenset({"core"})))


def test_a_model_is_pulled_alone_and_another_place_may_be_named(
    machine: Machine, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGD_MODEL_SOURCE", "/nowhere")
    place = layout.checkout(machine.root)
    wanted = frozenset({"core", "model"})

    with pytest.raises(SetupError, match="no model 'ghost' in the manifest"):
        setup.set_up(place, setup.Request(wanted=wanted, offline=True, model="ghost"))
    stamp = setup.set_up(
        place, setup.Request(wanted=wanted, offline=True, model="tiny", source=str(tiny.folder / "hub"))
    )

    assert stamp.parts == wanted
    assert Path(stamp.model, "checksums.json").is_file()
    assert not list(machine.root.glob(".agd/venv/lib/python3*/site-packages/torch"))
