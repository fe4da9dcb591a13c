"""A package index of small wheels, served on this machine: a simple index (PEP 503) that real uv and pip read."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


def make_wheel(
    folder: Path, name: str, version: str, *, needs: Sequence[str] = (), extras: Mapping[str, Sequence[str]] = {},
    files: Mapping[str, str] | None = None, tag: str = "py3-none-any", licence: str = "MIT",
) -> Path:  # fmt: skip
    """A wheel with one module of the package's name; `needs` are requirements, `extras` those of extras."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}"]
    metadata += [f"Requires-Dist: {need}" for need in needs]
    for extra, wanted in extras.items():
        metadata.append(f"Provides-Extra: {extra}")
        metadata += [f"Requires-Dist: {need}; extra == '{extra}'" for need in wanted]
    content = {f"{module}/__init__.py": f"version = {version!r}\n"} if files is None else dict(files)
    content |= {
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    rows = []
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return wheel


class SmallIndex:
    """Serves the wheels of a folder as they are at the moment of asking."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                index.asked.append(self.path)
                parts = [unquote(part) for part in self.path.strip("/").split("/")]
                body = index.page(parts[1]) if parts[0] == "simple" and len(parts) > 1 else index.file(parts[-1])
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html" if parts[0] == "simple" else "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple"

    def page(self, project: str) -> bytes | None:
        links = []
        for wheel in sorted(self.folder.glob("*.whl")):
            if wheel.name.split("-")[0].replace("_", "-").lower() == project:
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                links.append(f'<a href="/files/{wheel.name}#sha256={digest}">{wheel.name}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else None

    def file(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
