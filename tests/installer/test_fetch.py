"""Downloads that break go on where they were; a wrong file never gets its name."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_model import digest

from agentic_diffusion.foundation.errors import ModelFileError, SetupError
from agentic_diffusion.installer import fetch
from agentic_diffusion.installer.manifest import FileFact

CONTENT = bytes(range(256)) * 40
FACT = FileFact(file="big.bin", size=len(CONTENT), sha256=digest(CONTENT))


class Breaking:
    """A server that sends `pieces` bytes at most an answer, with ranges or without."""

    def __init__(self) -> None:
        self.piece = len(CONTENT)
        self.ranges = True
        self.status = 0
        self.content = CONTENT
        self.asked: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers["Range"]
                outer.asked.append(wanted)
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and outer.ranges else 0
                if outer.status or (start and start >= len(outer.content)):
                    self.send_error(outer.status or 416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(outer.content) - start))
                self.end_headers()
                self.wfile.write(outer.content[start : start + outer.piece])

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/big.bin"


@pytest.fixture
def breaking() -> Iterator[Breaking]:
    made = Breaking()
    yield made
    made.server.shutdown()
    made.server.server_close()


def part(folder: Path) -> Path:
    return folder / "parts" / f"{FACT.sha256}.part"


def test_a_connection_that_breaks_is_gone_on_with(breaking: Breaking, tmp_path: Path) -> None:
    breaking.piece = 4000

    fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")

    assert (tmp_path / "big.bin").read_bytes() == CONTENT
    assert breaking.asked == [None, "bytes=4000-", "bytes=8000-"]
    assert not part(tmp_path).exists()


def test_what_came_is_kept_for_the_next_run(breaking: Breaking, tmp_path: Path) -> None:
    breaking.piece = 1000
    with pytest.raises(SetupError, match=r"broke off after 4\.0 kB of 10\.2 kB"):
        fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")
    assert not (tmp_path / "big.bin").exists()
    assert part(tmp_path).read_bytes() == CONTENT[:4000]

    breaking.piece = len(CONTENT)
    fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")
    assert breaking.asked[-1] == "bytes=4000-"
    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(breaking: Breaking, tmp_path: Path) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT[:100])
    breaking.ranges = False

    fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")

    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_part_of_another_file_is_noticed_and_thrown_away(breaking: Breaking, tmp_path: Path) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"x" * 100)

    with pytest.raises(ModelFileError, match="corrupt or foreign"):
        fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")
    assert not part(tmp_path).exists()
    fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")
    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_network(tmp_path: Path) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT)

    fetch.download("http://127.0.0.1:9/big.bin", tmp_path / "big.bin", FACT, parts=tmp_path / "parts")

    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_range_that_the_server_does_not_have(breaking: Breaking, tmp_path: Path) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT[:9000])
    breaking.content = CONTENT[:5000]

    with pytest.raises(SetupError):
        fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")

    assert breaking.asked[:2] == ["bytes=9000-", None]


def test_a_proxy_that_wants_a_password(breaking: Breaking, tmp_path: Path) -> None:
    breaking.status = 407

    with pytest.raises(SetupError, match=r"The proxy asks for a password .*\(407\)") as caught:
        fetch.download(breaking.url, tmp_path / "big.bin", FACT, parts=tmp_path / "parts")

    assert "HTTPS_PROXY" in caught.value.hint
    assert breaking.asked == [None], "no use in asking again"


def test_a_full_disk_keeps_nothing(breaking: Breaking, small_disk: Path) -> None:
    content = bytes(2_000_000)
    breaking.content, breaking.piece = content, len(content)
    fact = FileFact(file="big.bin", size=len(content), sha256=digest(content))

    with pytest.raises(SetupError, match="disk became full"):
        fetch.download(breaking.url, small_disk / "big.bin", fact, parts=small_disk / "parts")

    assert list((small_disk / "parts").iterdir()) == []
