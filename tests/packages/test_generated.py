"""Imports of generated programs: resolved to what is there, locked or allowed, and never by guessing a name."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from small_locks import lock_of

from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.packages import generated
from agentic_diffusion.packages.installed import Installed
from small_index import SmallIndex

PROGRAM = """\
import os, numpy, requets
import yaml.nodes
import apple
from plum import stone
import numpy.linalg
import mine
"""


def package(name: str, version: str, *modules: str) -> Installed:
    return Installed(
        name=name, version=version, licence="", modules=frozenset(modules), size=0, folder=Path("none.dist-info")
    )


THERE = {
    "pyyaml": package("pyyaml", "6.0", "yaml"),
    "apple": package("apple", "1", "apple"),
    "requests": package("requests", "2.0", "requests"),
}
LOCK = lock_of({"me": ["apple"], "apple@1": []})


def test_each_import_has_an_origin_or_is_refused(index: SmallIndex) -> None:
    found = generated.resolve(
        PROGRAM, installed=THERE, lock=LOCK, allowed=generated.allow_list("numpy==2.1, httpx"), own={"mine"}
    )

    assert {one.module: (one.origin, one.requirement) for one in found} == {
        "os": ("standard", ""),
        "numpy": ("allowed", "numpy==2.1"),
        "requets": ("refused", ""),
        "yaml": ("installed", "pyyaml==6.0"),
        "apple": ("locked", "apple==1"),
        "plum": ("refused", ""),
    }
    assert [one.note for one in generated.refused(found)] == [
        "requets is neither in the standard library, nor installed, locked or allowed; requests may have been meant",
        "plum is neither in the standard library, nor installed, locked or allowed",
    ]
    assert index.asked == [], "plum is on the index, and the index was not asked"


def test_another_version_than_the_locked_one_is_not_called_locked() -> None:
    (one,) = generated.resolve("import apple", installed={"apple": package("apple", "2", "apple")}, lock=LOCK)
    assert (one.origin, one.requirement) == ("installed", "apple==2")
    (one,) = generated.resolve("import apple", lock=LOCK)
    assert one.origin == "refused", "a lock says nothing of modules: only what is installed does"


@pytest.mark.parametrize("text", ["numpy;os", "-r evil.txt", "a b c", "https://evil.example/x.whl", "num py"])
def test_what_is_no_allow_list(text: str) -> None:
    with pytest.raises(ConfigError, match="no requirement"):
        generated.allow_list(text)


def test_the_header_is_what_the_standard_says() -> None:
    found = generated.resolve(PROGRAM, installed=THERE, lock=LOCK, allowed={"numpy": "numpy>=2,"})

    made = generated.with_header("#!/usr/bin/env python\n" + PROGRAM, found, requires_python=">=3.11")

    lines = made.splitlines()
    start, end = lines.index("# /// script"), lines.index("# ///")
    # how PEP 723 says that a reader gets the TOML
    data = tomllib.loads("\n".join(line[2:] for line in lines[start + 1 : end]))
    assert data == {"requires-python": ">=3.11", "dependencies": ["apple==1", "numpy>=2,", "pyyaml==6.0"]}
    assert lines[0] == "#!/usr/bin/env python"
    assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(PROGRAM))
    assert generated.with_header(made, found) == made
    assert generated.with_header("import os\n", generated.resolve("import os")) == "import os\n"
