"""Plans are pure: from given facts always the same steps, with sizes, places and reasons."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import launch, plan
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.manifest import Manifest
from agentic_diffusion.installer.plan import CORE, DEFAULT, DEVELOPMENT, Plan, make_plan
from agentic_diffusion.installer.probe import Probe
from agentic_diffusion.installer.torch_choice import TorchFacts
from agentic_diffusion.packages.wheels import Machine

Facts = Callable[..., Probe]
READY = {
    "uv": "/bin/uv", "uv_version": "9.9.9", "environment": frozenset({"core"}), "bubblewrap": "/usr/bin/bwrap",
    "bubblewrap_found": True, "model_damage": (), "torch": TorchFacts(machine=Machine(), installed="2.13.0+cpu"),
}  # fmt: skip


def planned(
    probe: Probe, place: Layout, shipped: Manifest, wanted: frozenset[str] = DEFAULT, *, remake: bool = False
) -> Plan:
    return make_plan(probe, place, wanted, shipped, shipped.model(), remake=remake)


def names(made: Plan) -> list[str]:
    return [step.name for step in made.steps]


def test_a_bare_machine_needs_every_step(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(), place, shipped)

    assert names(made) == ["uv", "environment", "torch", "bubblewrap", "model"]
    assert made.have == ()
    assert made.total.fetch == sum(step.size.fetch for step in made.steps) > 300_000_000
    assert made.total.disk < 1_500_000_000


def test_a_ready_machine_needs_none(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(**READY), place, shipped)

    assert made.steps == ()
    assert "torch 2.13.0+cpu is installed" in made.have
    assert made.lines()[-1] == "nothing is to be done"


def test_a_light_command_needs_no_torch_and_no_model(bare: Facts, place: Layout, shipped: Manifest) -> None:
    assert names(planned(bare(), place, shipped, CORE)) == ["uv", "environment"]


def test_development_tools_are_added_to_an_environment(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(**READY), place, shipped, DEVELOPMENT)

    assert names(made) == ["environment"]
    assert made.steps[0].arguments["parts"] == ["core", "dev"]
    assert made.steps[0].size == shipped.sizes["development"]


def test_an_environment_that_was_begun_is_made_anew_with_torch(bare: Facts, place: Layout, shipped: Manifest) -> None:
    assert names(planned(bare(**READY), place, shipped, remake=True)) == ["environment", "torch"]


def test_every_step_writes_into_the_checkout_or_the_models(
    bare: Facts, place: Layout, shipped: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGD_HOME", "/data")
    for step in planned(bare(), place, shipped).steps:
        assert step.place.startswith((f"{place.state}/", "/data/models/")), step
        assert step.owns in ("", step.place)


def test_sizes_and_licences_are_shown_before_anything_is_fetched(bare: Facts, place: Layout, shipped: Manifest) -> None:
    text = "\n".join(planned(bare(), place, shipped).lines())

    assert (
        "model: SmolLM2-135M-Instruct, weights in bfloat16 (92.9 MB to fetch, 272.6 MB on the disk, Apache-2.0)" in text
    )
    assert "torch>=2.7: the CPU build of PyTorch's own index (no NVIDIA GPU was found) (205.0 MB to fetch" in text


def test_the_plan_as_json(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(), place, shipped)
    data = json.loads(made.as_json())

    assert [step["name"] for step in data["steps"]] == names(made)
    assert data["total"]["fetch"] == made.total.fetch
    assert data["steps"][-1]["licence"] == "Apache-2.0"


def test_offline_everything_that_is_missing_is_named_at_once(bare: Facts, place: Layout, shipped: Manifest) -> None:
    with pytest.raises(SetupError) as caught:
        planned(bare(offline=True), place, shipped)

    assert caught.value.message == (
        "Offline, the set-up cannot be finished: still to be fetched are uv (20.0 MB), model (92.9 MB)."
    )
    assert "AGD_MODEL_SOURCE" in caught.value.hint


def test_offline_with_a_model_at_hand_and_uv_the_cache_is_tried(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(offline=True, uv="/bin/uv", uv_version="9.9.9", model_offline=True), place, shipped)

    assert names(made) == ["environment", "torch", "model"]
    assert made.steps[-1].size.fetch == 0
    assert any("Landlock" in words for words in made.have)


def test_a_python_without_pip_and_venv_is_said_with_the_debian_command(
    bare: Facts, place: Layout, shipped: Manifest
) -> None:
    with pytest.raises(SetupError, match="neither pip nor venv") as caught:
        planned(bare(python_has=frozenset({"venv"})), place, shipped)

    assert "apt-get install python3-venv python3-pip" in caught.value.hint


def test_a_python_with_venv_alone_makes_itself_a_pip(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(python_has=frozenset({"venv", "ensurepip"})), place, shipped)

    assert made.steps[0].arguments == {"bootstrap": True}


def test_a_bubblewrap_that_may_not_run_is_not_fetched_again(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(bubblewrap_found=True), place, shipped)

    assert "bubblewrap" not in names(made)
    assert any("Landlock" in words for words in made.have)


def test_a_damaged_model_is_set_up_anew_and_the_damage_is_named(bare: Facts, place: Layout, shipped: Manifest) -> None:
    made = planned(bare(**{**READY, "model_damage": ("model.safetensors has 3 bytes",)}), place, shipped)

    assert "model.safetensors has 3 bytes" in made.steps[0].title


def test_an_installed_package_keeps_its_own_environment(bare: Facts, shipped: Manifest, tmp_path: object) -> None:
    from agentic_diffusion.installer.layout import installed

    made = make_plan(bare(), installed(), DEFAULT, shipped, shipped.model())

    assert names(made) == ["uv", "torch", "model"]
    assert made.steps[1].owns == ""


def test_the_launcher_and_the_plan_mean_the_same_parts() -> None:
    assert launch.needs(["generate", "text"]) == plan.DEFAULT
    assert launch.needs(["doctor"]) == plan.CORE
