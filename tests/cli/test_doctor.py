"""`agd doctor` and `agd models`: what they print, and what a machine's facts mean."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from agentic_diffusion.cli import checks, doctor, models, setup
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.installer import health


def called(app: object, *words: str) -> int:
    """The exit code of a command line."""
    return int(app(list(words), result_action="return_value", exit_on_error=False))  # type: ignore[operator]


@pytest.fixture
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_results_as_json(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = called(
        doctor.app, "python", "processor", "cores", "memory", "disk", "store", "network", "--offline", "--json"
    )

    said = json.loads(capsys.readouterr().out)["checks"]
    assert code == 0, said
    assert [check["name"] for check in said] == [
        "python", "processor", "cores", "memory", "disk", "store", "network",
    ]  # fmt: skip
    assert all(set(check) == {"name", "status", "message", "fix"} for check in said)
    assert said[-1] == {"name": "network", "status": "skip", "message": "offline was asked for", "fix": ""}
    assert (empty_home / "agd.db").exists(), "the store was really opened"


def test_a_missing_model_fails_with_its_fix(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = called(doctor.app, "model")

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        f"FAIL  model: smollm2-135m-instruct: it is not at {empty_home}/models/smollm2-135m-instruct",
        "      -> agd setup",
    ]


def test_a_store_that_does_not_open_fails(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_home.mkdir()
    (empty_home / "agd.db").write_text("this is no database, but it is longer than a header of one would be" * 20)

    assert called(doctor.app, "store") == 1
    assert capsys.readouterr().out.startswith("FAIL  store: ")


def test_the_names_of_the_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert called(doctor.app, "--list-checks") == 0
    assert capsys.readouterr().out.split() == list(checks.all_checks(offline=True))
    with pytest.raises(UsageError, match="no check 'nonsense'"):
        called(doctor.app, "nonsense")


def test_the_real_sandbox_torch_compiler_and_uv_are_asked(capsys: pytest.CaptureFixture[str]) -> None:
    called(doctor.app, "sandbox", "torch", "compiler", "uv", "--json")

    said = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "crash" not in {check["status"] for check in said.values()}, said
    assert said["torch"]["message"].startswith("torch"), said["torch"]


@pytest.mark.parametrize(
    ("machine", "features", "status", "words"),
    [
        ("x86_64", {"avx2", "avx512f", "avx512_bf16"}, "ok", "AVX2, AVX-512, AVX-512 BF16; bfloat16 in hardware"),
        ("x86_64", {"avx2"}, "ok", "no bfloat16 instructions"),
        ("x86_64", {"sse2"}, "warn", "without AVX2"),
        ("aarch64", {"asimd", "bf16"}, "ok", "Neon, Neon BF16; bfloat16 in hardware"),
        ("arm64", set[str](), "ok", "instruction sets unknown"),
    ],
)
def test_what_a_processor_means(machine: str, features: set[str], status: str, words: str) -> None:
    finding = checks.judged_processor(machine, frozenset(features))

    assert finding.status == status
    assert words in finding.message


@pytest.mark.parametrize(
    ("works", "status", "words"),
    [
        ((True, True), "ok", "bubblewrap and landlock passed the self-test"),
        ((False, True), "warn", "landlock is used; bubblewrap does not work: no namespaces"),
        ((True, False), "ok", "bubblewrap passed the self-test; landlock does not work: no namespaces"),
        ((False, False), "fail", "bubblewrap does not work: no namespaces; landlock does not work"),
    ],
)
def test_what_the_sandbox_tiers_mean(works: tuple[bool, bool], status: str, words: str) -> None:
    rows: list[dict[str, object]] = [
        {"tier": tier, "works": work, "reason": "" if work else "no namespaces", "covers": {}}
        for tier, work in zip(("bubblewrap", "landlock"), works, strict=True)
    ]
    rows.append({"tier": "none", "works": True, "reason": "only with --unsafe-no-sandbox", "covers": {}})

    finding = checks.judged_tiers(rows)

    assert finding.status == status
    assert words in finding.message


def test_models_are_listed_verified_and_found(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(models.app, "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["ready"], row["licence"]) == ("smollm2-135m-instruct", False, "Apache-2.0")

    assert called(models.app, "list") == 0
    assert capsys.readouterr().out.endswith("(272.6 MB, Apache-2.0, the default): not set up\n")

    assert called(models.app, "where") == 0
    assert capsys.readouterr().out == f"{empty_home}/models/smollm2-135m-instruct\n"

    assert called(models.app, "verify") == 1
    assert "it is not at" in capsys.readouterr().err


def test_set_up_of_an_installed_package_is_shown_and_undone(
    empty_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In a checkout's own environment the command would remove the environment that runs this test.
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.delenv("AGD_MODEL_SOURCE", raising=False)
    assert called(setup.app, "--dry-run") == 0
    assert "model: SmolLM2-135M-Instruct" in capsys.readouterr().out
    assert not empty_home.exists()

    (empty_home / "models" / "x").mkdir(parents=True)
    assert called(setup.uninstall_app) == 0
    assert "nothing to remove" in capsys.readouterr().err
    assert called(setup.uninstall_app, "--models") == 0
    assert f"removed {empty_home}/models (" in capsys.readouterr().err
    assert not (empty_home / "models").exists()


def test_proxies_are_named_without_their_passwords() -> None:
    found = checks.proxy({"HTTPS_PROXY": f"http://{'me'}:secret@proxy.example:3128", "http_proxy": "proxy.example"})

    assert found.status == "ok"
    assert found.message == "https_proxy is proxy.example:3128, http_proxy is proxy.example"
    assert checks.proxy({"ALL_PROXY": "http://"}).status == "warn"
    assert checks.proxy({}).message == "none is set"


def test_a_clock_that_is_behind_is_told() -> None:
    assert checks.clock().status == "ok"
    assert checks.clock(now=0.0).status == "warn"


def test_a_report_says_nothing_of_the_person(
    empty_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "melanie")
    monkeypatch.setenv("HOME", str(empty_home.parent))

    assert called(doctor.app, "disk", "model", "--report") == 1

    said = capsys.readouterr().out
    assert said.startswith("```\n- agentic-diffusion: ")
    assert "- model: fail: smollm2-135m-instruct: it is not at DATA/models/smollm2-135m-instruct" in said
    assert str(empty_home.parent) not in said
    assert health.scrubbed("melanie in melanies /h/melanie ssh://a:b@c/", {"melanie": "USER", "/h/melanie": "~"}) == (
        "USER in melanies ~ ssh://c/"
    )


def test_fix_sets_up_what_a_failed_check_is_about_and_looks_again(
    empty_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # what set-up would do is tested where set-up is; here nothing can be had, and that is the error
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("AGD_MODEL_SOURCE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(SetupError):
        called(doctor.app, "model", "--fix", "--offline")

    assert called(doctor.app, "python", "--fix") == 0
    assert "nothing that set-up could mend" in capsys.readouterr().err


def test_models_are_chosen_and_removed(
    empty_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AGD_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert called(models.app, "use", "smollm2-135m-instruct") == 0
    file = tmp_path / "config" / "agentic-diffusion" / "config.toml"
    assert file.read_text() == '[model]\nname = "default"\n'
    assert "it is not set up yet: agd models pull smollm2-135m-instruct" in capsys.readouterr().err

    folder = empty_home / "models" / "smollm2-135m-instruct"
    assert called(models.app, "rm", "default") == 1
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert called(models.app, "prune", "--json", "--dry-run") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["path"] == str(folder)
    assert called(models.app, "rm", "default") == 0
    assert not folder.exists()
    assert called(models.app, "prune") == 0
    assert "there was nothing to remove" in capsys.readouterr().err
