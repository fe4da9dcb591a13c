"""Extensions are found in real installed distributions: folders with metadata on the import path."""

import logging
import sys

import pytest

from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import SetupError, UsageError


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions on the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, points: str, **modules: str) -> None:
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)

    return install


def test_an_extension_is_found_without_importing_it_and_then_loaded(site):
    site(
        "toy-reward",
        "[agentic_diffusion.rewards]\nshortness = toy_reward_module:Shortness\n",
        toy_reward_module="import sys\nclass Shortness:\n    value = 7\n",
    )
    assert plugins.discover("rewards")["shortness"].value == "toy_reward_module:Shortness"
    assert "toy_reward_module" not in sys.modules
    assert plugins.load("rewards", "shortness").value == 7


def test_names_are_sorted_and_kinds_are_separate(site):
    site("toy-many", "[agentic_diffusion.denoisers]\nzebra = m:z\naardvark = m:a\n")
    found = list(plugins.discover("denoisers"))
    assert found == sorted(found)
    assert {"zebra", "aardvark"} <= set(found)
    assert "zebra" not in plugins.discover("languages")


def test_a_name_offered_twice_belongs_to_the_first_and_a_warning_says_so(site, caplog, monkeypatch):
    site("b-second", "[agentic_diffusion.rewards]\nsame = second:x\n")
    site("a-first", "[agentic_diffusion.rewards]\nsame = first:x\n")
    monkeypatch.setattr(logging.getLogger("agentic_diffusion"), "propagate", True)  # caplog listens at the root
    with caplog.at_level("WARNING"):
        assert plugins.discover("rewards")["same"].value == "first:x"
    assert "two distributions offer rewards 'same': a-first is used, b-second is not" in caplog.text


def test_an_unknown_name_gets_a_close_match(site):
    site("toy-reward", "[agentic_diffusion.rewards]\nshortness = m:S\n")
    with pytest.raises(UsageError, match="There is no extension 'shortnes' among the rewards") as caught:
        plugins.load("rewards", "shortnes")
    assert caught.value.hint == "Did you mean shortness?"


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError) as caught:
        plugins.discover("colours")
    assert caught.value.message == (
        "'colours' is no kind of extension: denoisers, evidence, languages, rewards, strategies, test_strategies are."
    )


@pytest.mark.parametrize("target", ["no_such_module_here:X", "toy_half_module:Missing"])
def test_an_extension_that_does_not_import_is_named(site, target):
    site("toy-broken", f"[agentic_diffusion.rewards]\nbroken = {target}\n", toy_half_module="")
    with pytest.raises(SetupError) as caught:
        plugins.load("rewards", "broken")
    assert caught.value.message.startswith("The extension 'broken' of toy-broken cannot be loaded: ")
    assert caught.value.hint == "Update or uninstall that distribution."
