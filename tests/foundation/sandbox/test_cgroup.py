"""Control groups: the real ones where they can be written, the search for them on folders that look like them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agentic_diffusion.foundation.sandbox import cgroup
from agentic_diffusion.foundation.sandbox.bubblewrap import groups_work

MEMORY = 64 * 1024 * 1024


def test_version_1_is_found_below_ones_own_group(tmp_path: Path) -> None:
    for controller in ("pids", "memory"):
        (tmp_path / controller / "ours").mkdir(parents=True)
    own = "8:pids:/ours\n4:memory:/ours\n0::/\n"
    group = cgroup.create("fresh", processes=10, memory_bytes=MEMORY, mount=tmp_path, own=own)
    assert group is not None
    assert group.folders == {name: tmp_path / name / "ours" / "fresh" for name in ("pids", "memory")}
    assert (group.folders["pids"] / "pids.max").read_text() == "10"
    assert (group.folders["memory"] / "memory.limit_in_bytes").read_text() == str(MEMORY)


def test_version_2_is_used_only_where_both_controllers_are_handed_down(tmp_path: Path) -> None:
    folder = tmp_path / "user.slice"
    folder.mkdir()
    own = "0::/user.slice\n"
    (folder / "cgroup.subtree_control").write_text("cpu pids\n")
    assert cgroup.create("fresh", processes=10, memory_bytes=MEMORY, mount=tmp_path, own=own) is None
    (folder / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (folder / "fresh").mkdir()
    (folder / "fresh" / "memory.max").write_text("max\n")  # the kernel makes these files with the folder
    group = cgroup.create("fresh", processes=10, memory_bytes=MEMORY, mount=tmp_path, own=own)
    assert group is not None
    assert set(group.folders.values()) == {folder / "fresh"}
    assert (folder / "fresh" / "memory.max").read_text() == str(MEMORY)
    assert (folder / "fresh" / "memory.swap.max").read_text() == "0"
    (folder / "fresh" / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (folder / "fresh" / "memory.peak").write_text("12345\n")
    assert group.out_of_memory()
    assert group.peak() == 12345


@pytest.mark.parametrize("own", ["", "0::/\n", "8:pids:/\n"])
def test_nothing_where_there_is_nothing(tmp_path: Path, own: str) -> None:
    assert cgroup.create("fresh", processes=1, memory_bytes=MEMORY, mount=tmp_path, own=own) is None


def test_a_real_group_counts_and_is_removed() -> None:
    if not groups_work():
        pytest.skip("control groups cannot be written here")
    group = cgroup.create(f"agd-test-{os.getpid()}", processes=8, memory_bytes=MEMORY)
    assert group is not None
    try:
        with subprocess.Popen(["sleep", "30"]) as process:
            group.add(process.pid)
            for folder in group.folders.values():
                assert str(process.pid) in (folder / "cgroup.procs").read_text().split()
            assert not group.out_of_memory()
            process.kill()
    finally:
        assert group.remove()
    assert not any(folder.exists() for folder in group.folders.values())
