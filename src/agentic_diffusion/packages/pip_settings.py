"""What pip is configured to use on this machine, and how uv is told the same: uv reads neither pip.conf nor PIP_*.

Two hand-overs, since they differ in what they may change:
    transport   certificate, proxy, trusted hosts, the one index: how packages are reached; a locked set stays the same
    solving     further indexes, find-links, constraints: what pip itself would consider when it chooses a version
Standard library only.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LINE = re.compile(r"(?P<section>[^.=]+)\.(?P<key>[A-Za-z-]+)=(?P<value>.*)")
_PIP_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class PipSettings:
    """The part of pip's configuration that matters to uv."""

    index_url: str = ""
    """The package index in place of the default one; empty for the default."""
    extra_index_urls: tuple[str, ...] = ()
    """Further indexes."""
    find_links: tuple[str, ...] = ()
    """Folders or pages that offer wheels."""
    constraints: tuple[str, ...] = ()
    """Constraint files."""
    cert: str = ""
    """A bundle of certificate authorities."""
    proxy: str = ""
    """A proxy for http and https."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts whose certificates are not checked."""
    no_index: bool = False
    """Whether find-links are all there is; packages then come from a bundle."""

    def transport(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment variables that let uv reach packages as pip does; what the user set for uv stays."""
        wanted = {
            "SSL_CERT_FILE": self.cert,
            "HTTP_PROXY": self.proxy,
            "HTTPS_PROXY": self.proxy,
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "UV_DEFAULT_INDEX": self.index_url,
        }
        if self.no_index:
            # a set-up from a bundle is offline, and offline uv asks no index
            return {"UV_FIND_LINKS": ",".join(self.find_links)}
        if "UV_INDEX_URL" in environ:
            del wanted["UV_DEFAULT_INDEX"]
        return {name: value for name, value in wanted.items() if value and name not in environ}

    def solving(self) -> list[str]:
        """The arguments that let `uv pip install` consider what pip would; the best version over all indexes wins."""
        arguments = [part for url in self.extra_index_urls for part in ("--index", url)]
        if arguments:
            arguments += ["--index-strategy", "unsafe-best-match"]
        arguments += [part for place in self.find_links for part in ("--find-links", place)]
        return arguments + [part for path in self.constraints for part in ("--constraint", path)]

    def folders(self) -> tuple[Path, ...]:
        """The find-links that are folders on this machine and may be read."""
        places = (local_path(place) for place in self.find_links)
        return tuple(place for place in places if place is not None and os.access(place / ".", os.R_OK | os.X_OK))


def local_path(place: str) -> Path | None:
    """The path that a find-links entry or a source names; None for an address elsewhere."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in place else Path(place).expanduser()


def read(python: str, environ: Mapping[str, str] = os.environ) -> PipSettings:
    """Ask the pip of `python` for its configuration; without pip, what the PIP_ variables say."""
    try:
        listed = subprocess.run(
            [python, "-m", "pip", "config", "list"],
            capture_output=True, text=True, timeout=_PIP_SECONDS, check=False, env=dict(environ),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return parse("", environ)
    return parse(listed.stdout if listed.returncode == 0 else "", environ)


def parse(listing: str, environ: Mapping[str, str]) -> PipSettings:
    """Settings from the output of `pip config list` and the PIP_ variables, which win."""
    values: dict[str, str] = {}
    for rank in ("global", "install"):
        for line in listing.splitlines():
            match = _LINE.fullmatch(line.strip())
            if match and match["section"] == rank:
                values[match["key"]] = _unquoted(match["value"])
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            values[name[4:].lower().replace("_", "-")] = value
    return PipSettings(
        index_url=values.get("index-url", ""),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        constraints=tuple(values.get("constraint", "").split()),
        cert=values.get("cert", ""),
        proxy=values.get("proxy", ""),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
    )


def _unquoted(text: str) -> str:
    """pip lists values as Python strings."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
