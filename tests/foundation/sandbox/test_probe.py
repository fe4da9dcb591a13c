"""The choice of a tier, its words when there is none, and what every tier says that it covers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentic_diffusion.foundation import sandbox as public
from agentic_diffusion.foundation.errors import ConfigError, SandboxError
from agentic_diffusion.foundation.sandbox import bubblewrap, probe
from agentic_diffusion.foundation.sandbox.base import COVER_KEYS, MIB, Limits, Sandbox
from agentic_diffusion.foundation.sandbox.unsafe import Unsafe


def test_choose_takes_the_first_tier_that_works(tiers: tuple[dict[str, Sandbox], dict[str, str]]) -> None:
    found, _ = tiers
    assert public.choose().tier == next(iter(found.values())).tier
    assert public.choose() is public.choose()


def test_only_one_tier(tiers: tuple[dict[str, Sandbox], dict[str, str]]) -> None:
    for sandbox in tiers[0].values():
        assert public.choose(only=sandbox.tier).tier == sandbox.tier


def test_unknown_tier() -> None:
    with pytest.raises(ConfigError, match="There is no sandbox tier 'docker'") as caught:
        public.choose(only="docker")
    assert caught.value.hint == "use one of bubblewrap, landlock, none, or none at all"


def test_no_sandbox_has_to_be_permitted() -> None:
    with pytest.raises(SandboxError, match="has to be permitted") as caught:
        public.choose(only="none")
    assert "--unsafe-no-sandbox" in caught.value.hint
    assert public.choose(only="none", unsafe=True).tier == "none"


def test_nothing_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which the only tier is a bubblewrap that cannot make namespaces."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(probe, "TIERS", {"bubblewrap": lambda: bubblewrap.Bubblewrap(program)})
    probe.probe.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"nothing untrusted will be run.*setting up uid map") as caught:
            public.choose()
        assert "AppArmor" in caught.value.hint
        assert "--unsafe-no-sandbox" in caught.value.hint
        assert public.choose(unsafe=True).tier == "none"
        rows = {row["tier"]: row for row in public.describe()}
        assert rows["bubblewrap"]["works"] is False
        assert "uid map" in str(rows["bubblewrap"]["reason"])
    finally:
        probe.probe.cache_clear()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("bubblewrap is not installed.", "apt install bubblewrap"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor"),
        ("bwrap: No permissions to create new namespace", "user namespaces"),
        ("something else", "agd doctor"),
    ],
)
def test_the_hint_names_the_mend(reason: str, words: str) -> None:
    hint = probe.mend({"bubblewrap": reason})
    assert words in hint
    assert "--unsafe-no-sandbox" in hint


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    probe.probe.cache_clear()
    try:
        assert probe.probe("landlock") == (None, "it needs Linux, and this is darwin")
    finally:
        probe.probe.cache_clear()


def test_bubblewrap_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "tools" / "bin" / "bwrap"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("AGD_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("AGD_BWRAP", raising=False)
    assert bubblewrap.find() == own
    monkeypatch.setenv("AGD_BWRAP", "/nowhere/bwrap")
    assert bubblewrap.find() is None
    with pytest.raises(SandboxError, match="bubblewrap is not installed"):
        bubblewrap.Bubblewrap()
    monkeypatch.setenv("AGD_BWRAP", str(own))
    assert bubblewrap.find() == own


def test_every_tier_speaks_of_everything(sandbox: Sandbox) -> None:
    assert tuple(sandbox.covers) == COVER_KEYS
    assert all(sandbox.covers.values())


def test_the_doctor_gets_a_row_a_tier() -> None:
    rows = public.describe()
    assert [row["tier"] for row in rows] == ["bubblewrap", "landlock", "none"]
    assert rows[-1]["covers"] == dict(Unsafe().covers)
    assert Unsafe().covers["network"] == "not covered"


@pytest.mark.parametrize(
    ("name", "value"), [("seconds", 0.0), ("memory_bytes", MIB), ("processes", 0), ("output_bytes", -1)]
)
def test_limits_are_checked(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"The sandbox limit {name} is"):
        Limits().having(**{name: value})


def test_the_security_page_speaks_of_everything() -> None:
    page = (Path(__file__).parents[3] / "SECURITY.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    assert set(COVER_KEYS) <= rows.keys()
    for key, text in Unsafe().covers.items():
        # what the table admits for tier "none" is what the tier says of itself, and the other way round
        assert rows[key].rstrip("| ").endswith("**not covered**") == (text == "not covered"), key
