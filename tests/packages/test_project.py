"""A user's project on a small index with real uv: lock, sync, add, remove, export, outdated, verify."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.packages import installed, verify
from agentic_diffusion.packages.project import Project
from small_index import SmallIndex, make_wheel


def versions(project: Project) -> dict[str, str]:
    return {package.name: package.version for package in project.locked().packages}


def test_add_install_verify_and_remove(project: Project, index: SmallIndex) -> None:
    make_wheel(index.folder, "kiwi", "1.0", needs=["hair"])
    make_wheel(index.folder, "hair", "1.0")

    added = project.add(["kiwi"])

    assert [change.words for change in added] == ["hair 1.0 is new", "kiwi 1.0 is new", "mine needs kiwi now"]
    place = installed.site_packages(project.folder)
    assert place is not None
    assert set(installed.read(place)) >= {"apple", "seed", "pear", "kiwi", "hair"}
    assert verify.of_environment(project.locked(), place) == (len(installed.read(place)), [])
    assert project.fresh()

    (place / "kiwi" / "__init__.py").write_text("changed")
    assert [problem.words for problem in verify.of_environment(project.locked(), place)[1]] == [
        "kiwi/__init__.py is missing or not what was installed"
    ]
    removed = project.remove(["kiwi"])
    assert [change.kind for change in removed] == ["removed", "removed", "needs"]
    assert set(installed.read(place)) & {"apple", "seed", "pear", "kiwi", "hair"} == {"apple", "seed", "pear"}


def test_what_cannot_be_had_changes_nothing(project: Project) -> None:
    before = (project.folder / "pyproject.toml").read_bytes(), (project.folder / "uv.lock").read_bytes()

    with pytest.raises(SetupError, match="uv could not add no-such-thing"):
        project.add(["no-such-thing"])
    with pytest.raises(UsageError, match="No package was named"):
        project.add([])

    assert before == ((project.folder / "pyproject.toml").read_bytes(), (project.folder / "uv.lock").read_bytes())


def test_sync_says_what_it_does_and_a_stale_lock_is_seen(project: Project) -> None:
    planned = project.sync(dry_run=True)
    assert {(one["name"], one["action"]) for one in planned} == {
        (name, "installed") for name in ("apple", "seed", "pear", "plum")
    }
    assert installed.site_packages(project.folder) is None
    assert project.sync() == planned
    assert project.sync() == []

    file = project.folder / "pyproject.toml"
    file.write_text(file.read_text().replace('"apple<3"', '"apple<2"'))
    assert not project.fresh()
    assert project.lock() == []
    assert project.fresh()


def test_exports(project: Project) -> None:
    requirements = project.export("requirements")
    assert "apple==1.0 \\\n    --hash=sha256:" in requirements
    assert "plum" not in requirements
    assert "plum==1.0" in project.export("requirements", groups=True)
    pylock = tomllib.loads(project.export("pylock"))
    assert {entry["name"] for entry in pylock["packages"]} >= {"apple", "pear", "seed"}
    bom = json.loads(project.export("cyclonedx"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    assert {component["name"] for component in bom["components"]} >= {"apple", "pear", "seed"}


def test_what_is_outdated_and_an_upgrade(project: Project, newer: Callable[[], None]) -> None:
    assert project.outdated() == []
    newer()

    (one,) = project.outdated()
    assert one.as_dict() == {"name": "apple", "version": "1.0", "latest": "3.0", "leap": "major", "direct": True}
    changes = project.upgrade(["apple"])

    assert [change.words for change in changes] == [
        "seed 1.0 is gone", "apple goes up from 1.0 to 2.0 (major)", "apple needs seed no more",
    ]  # fmt: skip
    assert versions(project)["apple"] == "2.0", "pyproject.toml allows no 3"
    with pytest.raises(UsageError, match="no package 'ghost'"):
        project.upgrade(["ghost"])


def test_offline(project: Project, index: SmallIndex) -> None:
    make_wheel(index.folder, "kiwi", "1.0")
    offline = replace(project, uv=replace(project.uv, offline=True))

    with pytest.raises(SetupError, match=r"^Offline, uv could not add kiwi: ") as caught:
        offline.add(["kiwi"])
    assert "once with network" in caught.value.hint
    assert offline.vulnerabilities() == ("not checked: offline", [])


def test_no_project(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no Python project: it has no pyproject\.toml"):
        Project.open(tmp_path, project.uv)
    (project.folder / "uv.lock").unlink()
    for asked in (project.fresh, project.sync, project.outdated):
        with pytest.raises(SetupError, match="There is no lock at"):
            asked()


def test_files_against_the_lock(project: Project, index: SmallIndex, tmp_path: Path) -> None:
    lock = project.locked()
    assert verify.of_lock(lock) == []
    assert verify.of_files(lock, index.folder) == (4, [])

    make_wheel(index.folder, "apple", "1.0", needs=["evil"])
    make_wheel(index.folder, "stranger", "1.0")
    right, problems = verify.of_files(lock, index.folder)

    assert right == 3
    assert [(one.subject, one.words.split(" is ")[0]) for one in problems] == [
        ("apple-1.0-py3-none-any.whl", "its sha256"),
        ("stranger-1.0-py3-none-any.whl", "the lock does not know it"),
    ]
    with pytest.raises(UsageError, match="is no folder"):
        verify.of_files(lock, tmp_path / "nowhere")
