"""Locks written by hand, so that their graphs are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentic_diffusion.packages import lockfile
from agentic_diffusion.packages.lockfile import Lock


def lock_of(needs: Mapping[str, Sequence[str]], *, size: int = 100, hashes: Mapping[str, str] | None = None) -> Lock:
    """A lock whose first name is the project; every other package has version 1 (or NAME@VERSION) and one wheel."""
    lines = ["version = 1", 'requires-python = ">=3.11"']
    for place, (key, wanted) in enumerate(needs.items()):
        name, _, version = key.partition("@")
        version = version or "1"
        source = '{ virtual = "." }' if place == 0 else '{ registry = "https://index.example/simple" }'
        lines += ["[[package]]", f'name = "{name}"', f'version = "{version}"', f"source = {source}", "dependencies = ["]
        for want in wanted:
            other, _, exact = want.partition("@")
            lines.append(f'  {{ name = "{other}"' + (f', version = "{exact}"' if exact else "") + " },")
        lines.append("]")
        if place:
            digest = (hashes or {}).get(key, "a" * 64)
            file = f"{name}-{version}-py3-none-any.whl"
            lines.append(
                f'wheels = [{{ url = "https://index.example/{file}", hash = "sha256:{digest}", size = {size} }}]'
            )
    return lockfile.parse("\n".join(lines))
