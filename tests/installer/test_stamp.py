"""What our variables say: whether the network is forbidden, and what a program of the environment gets."""

from __future__ import annotations

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.installer import stamp


@pytest.mark.parametrize(
    ("word", "offline"),
    [("1", True), ("true", True), ("Yes", True), (" ON ", True),
     ("", False), ("0", False), ("false", False), ("No", False), ("off", False)],
)  # fmt: skip
def test_the_words_for_offline(monkeypatch: pytest.MonkeyPatch, word: str, offline: bool) -> None:
    monkeypatch.setenv("AGD_OFFLINE", word)

    assert stamp.offline_asked() is offline


def test_without_the_variable_the_network_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGD_OFFLINE", raising=False)

    assert not stamp.offline_asked()


@pytest.mark.parametrize("word", ["2", "maybe", "y"])
def test_another_word_for_offline_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("AGD_OFFLINE", word)

    with pytest.raises(UsageError, match=f"AGD_OFFLINE='{word}' is neither yes nor no") as caught:
        stamp.offline_asked()
    assert "1, true, yes or on" in caught.value.hint


def test_a_program_of_the_environment_gets_all_but_what_leads_its_python_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "OTHER"):
        monkeypatch.setenv(name, "7")

    given = stamp.child_environment()

    assert not {"PYTHONPATH", "PYTHONHOME"} & set(given)
    assert (given["PYTHONHASHSEED"], given["OTHER"]) == ("7", "7")
