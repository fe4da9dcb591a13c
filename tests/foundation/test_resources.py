"""Quantities, limits read from real files, folders and atomic writes."""

import math
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.foundation import resources
from agentic_diffusion.foundation.errors import ResourceError, SetupError, UsageError


def _file(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("2m", 120), ("1h", 3600), ("90", 90), ("250ms", 0.25), (" 1.5 H ", 5400)]
)
def test_durations(text, seconds):
    assert resources.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1e3", "1 2s", "nan", "inf", "1..2"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageError) as caught:
        resources.parse_duration(text)
    assert caught.value.message == f"{text!r} is not a duration: a number with ms, s, m or h is allowed."


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("10B", 10), ("512MB", 512_000_000), ("512MiB", 512 << 20), ("2G", 2 * 10**9), ("1.5kib", 1536)],
)
def test_sizes(text, size):
    assert resources.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "1 XB", "-5MB", "1ib"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="is not a size: a number with kB, MB, GB, KiB, MiB or GiB is allowed"):
        resources.parse_size(text)


@given(st.integers(0, 10**15))
def test_a_formatted_size_parses_back_within_its_rounding(size):
    text = resources.format_size(size)
    # One decimal of the shown unit; a value of 999.96 rounds up to 1000.0, never beyond.
    assert resources.parse_size(text) == pytest.approx(size, rel=0.06, abs=0)


def test_a_budget_without_limit_never_ends():
    budget = resources.Budget(None)
    assert budget.remaining() == math.inf
    assert not budget.exhausted()


def test_a_budget_runs_down():
    budget = resources.Budget(0.0)
    assert budget.exhausted()
    assert budget.remaining() == 0.0
    long = resources.Budget(1000.0)
    first = long.remaining()
    assert 0 < long.remaining() <= first <= 1000.0
    assert long.spent() >= 0


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_an_impossible_budget_is_refused(seconds):
    with pytest.raises(UsageError, match="it must be 0 or more"):
        resources.Budget(seconds)


def test_the_tightest_processor_quota_counts(tmp_path):
    own = _file(tmp_path / "a" / "b", cpu__max="max 100000\n")
    parent = _file(tmp_path / "a", cpu__max="150000 100000\n")
    assert resources.cpu_quota_at([own, parent, tmp_path]) == 1.5
    assert resources.cpu_quota_at([own, tmp_path]) is None
    old = _file(tmp_path / "old", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    unlimited = _file(tmp_path / "free", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert resources.cpu_quota_at([old, unlimited]) == 0.5


def test_the_tightest_memory_limit_counts_and_cache_is_free(tmp_path):
    own = _file(
        tmp_path / "v2", memory__max="1000\n", memory__current="900\n", memory__stat="anon 1\ninactive_file 300\n"
    )
    none = _file(tmp_path / "root", memory__max="max\n", memory__current="900\n")
    old = _file(
        tmp_path / "v1",
        memory__limit_in_bytes="500\n",
        memory__usage_in_bytes="400\n",
        memory__stat="total_inactive_file 50\n",
    )
    assert resources.cgroup_memory_left_at([own, none]) == 400
    assert resources.cgroup_memory_left_at([own, old]) == 150
    assert resources.cgroup_memory_left_at([none, tmp_path]) is None
    over = _file(tmp_path / "over", memory__max="1000\n", memory__current="1100\n")
    assert resources.cgroup_memory_left_at([over]) == 0


def test_processor_features_are_those_of_every_processor(tmp_path):
    intel = tmp_path / "intel"
    intel.write_text("processor : 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor : 1\nflags\t\t: fpu avx2\n")
    arm = tmp_path / "arm"
    arm.write_text("Features\t: fp asimd bf16\n")
    assert resources.cpu_features_at(intel) == {"fpu", "avx2"}
    assert resources.cpu_features_at(arm) == {"fp", "asimd", "bf16"}
    assert resources.cpu_features_at(tmp_path / "missing") == frozenset()


def test_this_machine_answers():
    assert 1 <= resources.usable_cpus() <= (os.cpu_count() or 1)
    assert resources.memory_available() > 1 << 20
    assert resources.peak_memory() > 1 << 20
    assert resources.disk_free(Path("/nowhere/at/all")) == resources.disk_free(Path("/"))


def test_affinity_limits_the_processors():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from agentic_diffusion.foundation.resources import usable_cpus; print(usable_cpus())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_the_peak_is_the_process_s_own_and_stays_after_the_memory_is_freed():
    code = (
        "from agentic_diffusion.foundation.resources import peak_memory as p; a = p();"
        "b = bytearray(b'x') * (64 << 20); del b; print(a, p())"
    )
    ballast = bytearray(b"x") * (160 << 20)  # a child must not inherit the parent's peak
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = (int(word) for word in result.stdout.split())
    del ballast
    assert before < 100 << 20
    assert after - before > 60 << 20


def test_too_little_disk_or_memory_is_said_before_the_work(tmp_path):
    with pytest.raises(ResourceError) as caught:
        resources.require_disk(tmp_path / "new", 10**18, "convert the model")
    assert caught.value.message.startswith(
        f"There is not enough disk space to convert the model: 1000000.0 TB are needed at {tmp_path / 'new'}, "
    )
    with pytest.raises(ResourceError, match=r"There is not enough memory to load the model: 1000000.0 TB are needed, "):
        resources.require_memory(10**18, "load the model")
    resources.require_disk(tmp_path, 1, "write")
    resources.require_memory(1, "think")


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "own"))
    assert resources.home() == tmp_path / "own"
    monkeypatch.delenv("AGD_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert resources.home() == tmp_path / "data" / "agentic-diffusion"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resources.home() == tmp_path / ".local/share/agentic-diffusion"


def test_the_data_folder_is_made_private(monkeypatch, tmp_path):
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "a" / "b"))
    folder = resources.writable_home()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


def test_a_data_folder_that_cannot_be_made_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(SetupError) as caught:
        resources.writable_home()
    assert caught.value.message == f"The data folder {tmp_path / 'file' / 'below'} cannot be written: Not a directory."
    assert caught.value.hint == "Set AGD_HOME to a folder that you may write to."


def test_atomic_write_replaces_and_keeps_the_mode(tmp_path):
    path = tmp_path / "out.txt"
    resources.atomic_write(path, "grüße\n", mode=0o600)
    assert path.read_bytes() == "grüße\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    resources.atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]


def test_atomic_write_follows_a_link_and_spares_devices(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    resources.atomic_write(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    resources.atomic_write(Path("/dev/null"), "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_reader_sees_the_old_or_the_new_bytes_only(tmp_path):
    path = tmp_path / "file"
    old, new = b"a" * 300_000, b"b" * 300_000
    resources.atomic_write(path, old)
    seen, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        resources.atomic_write(path, new)
        resources.atomic_write(path, old)
    stop.set()
    reader.join()
    assert seen <= {old, new}


def test_atomic_write_says_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match="is a folder, a file is needed"):
        resources.atomic_write(tmp_path, "x")
    with pytest.raises(SetupError, match="cannot be written: No such file or directory"):
        resources.atomic_write(tmp_path / "missing" / "file", "x")
    with pytest.raises(ResourceError, match="cannot be written: No space left on device"):
        resources.atomic_write(Path("/dev/full"), "x")


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # The example of FIPS 180-4.
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert resources.sha256_of(tmp_path / "abc") == known
    with pytest.raises(FileNotFoundError):
        resources.sha256_of(tmp_path / "missing")


def _folder(path: Path, content: str) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_text(content)
    return path


@pytest.mark.parametrize("before", ["nothing", "folder", "file", "link"])
def test_a_folder_takes_the_place_of_whatever_was_there(tmp_path, before):
    target = tmp_path / "place" / "target"
    target.parent.mkdir()
    if before == "folder":
        _folder(target, "old")
        (target / "left-over").touch()
    elif before == "file":
        target.write_text("old")
    elif before == "link":
        target.symlink_to(_folder(tmp_path / "elsewhere", "stays"))
    resources.replace_folder(_folder(tmp_path / "made", "new"), target)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["deep"]
    assert (target / "deep" / "file").read_text() == "new"
    if before == "link":
        assert (tmp_path / "elsewhere" / "deep" / "file").read_text() == "stays"


@pytest.mark.parametrize(("event", "number"), [("os.rename", 1), ("os.rename", 2), ("shutil.rmtree", 1), ("none", 1)])
def test_a_folder_that_is_replaced_survives_a_kill_at_any_moment(tmp_path, event, number):
    target, made = _folder(tmp_path / "target", "old"), _folder(tmp_path / "made", "new")
    code = f"""
import os, pathlib, signal, sys
from agentic_diffusion.foundation import resources
left = [{number}]
def watch(event, _):
    if event == {event!r}:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)  # just before it happens
sys.addaudithook(watch)
resources.replace_folder(pathlib.Path({str(made)!r}), pathlib.Path({str(target)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == (0 if event == "none" else -9)
    resources.recover_folder(target)
    assert (target / "deep" / "file").read_text() == ("old" if event == "os.rename" else "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"] * made.exists() + ["target"]
    if made.exists():
        resources.replace_folder(made, target)
        assert (target / "deep" / "file").read_text() == "new"


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path):
    target = _folder(tmp_path / "target", "old")
    with pytest.raises(OSError, match="No such file"):
        resources.replace_folder(tmp_path / "missing", target)
    assert (target / "deep" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are named in /proc")
def test_a_folder_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    real_sync, real_rename = os.fsync, os.rename

    def fsync(handle):
        events.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))  # noqa: PTH115
        real_sync(handle)

    def rename(source, target, **options):
        events.append(("rename", str(source)))
        real_rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    made = _folder(tmp_path / "made", "new")
    resources.replace_folder(made, tmp_path / "target")
    named = events.index(("rename", str(made)))
    assert {("sync", str(path)) for path in (made, made / "deep", made / "deep" / "file")} == set(events[:named])
    assert ("sync", str(tmp_path)) in events[named:]
