"""What a project imports beside what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_locks import lock_of

from agentic_diffusion.packages import imports, installed
from small_index import make_wheel

SOURCE = """\
from __future__ import annotations
import os, apple.core
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import hints
try:
    import plum
except ImportError:
    plum = None
try:
    import cherry
except ValueError:
    import berry
def later():
    from kiwi.sub import thing
    from . import near
"""


def test_imports_and_whether_they_are_optional() -> None:
    found = {one.module: one.optional for one in imports.imports_of(SOURCE)}

    assert found == {
        "os": False, "apple": False, "typing": False, "hints": True, "plum": True, "cherry": False, "berry": False,
        "kiwi": False,
    }  # fmt: skip
    with pytest.raises(SyntaxError):
        imports.imports_of("import (")


def test_undeclared_and_unused(tmp_path: Path) -> None:
    import zipfile

    place = tmp_path / "site-packages"
    for name, files in {
        "apple-fruit": {"apple/__init__.py": ""}, "seed": {"seed.py": ""}, "spare": {"spare/x.py": ""},
    }.items():  # fmt: skip
        with zipfile.ZipFile(make_wheel(tmp_path, name, "1", files=files)) as wheel:
            wheel.extractall(place)
    folder = tmp_path / "project"
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").write_text("import apple, json\nfrom mine import other\nimport helper\n")
    (folder / "src" / "mine" / "helper.py").write_text(
        "import seed\nimport ghost\ntry:\n import wish\nexcept ImportError: 0\n"
    )
    (folder / "broken.py").write_text("def")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "hidden.py").write_text("import hidden_one")
    root = lock_of(
        {"me": ["apple-fruit", "spare", "absent"], "apple-fruit": ["seed"], "seed": [], "spare": [], "absent": []}
    )

    said = imports.report(folder, root.roots[0], installed.read(place))

    assert [(one.module, one.where, one.brought_by) for one in said.undeclared] == [
        ("ghost", "src/mine/helper.py:2", ""),
        ("seed", "src/mine/helper.py:1", "seed"),
    ]
    assert said.unused == ("spare",)
    assert said.unknown == ("absent",)
    assert said.unreadable == ("broken.py",)


def test_installed_packages_are_read_without_being_run(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(make_wheel(tmp_path, "apple", "1.5", licence="Apache-2.0")) as wheel:
        wheel.extractall(tmp_path / "lib")

    (apple,) = installed.read(tmp_path / "lib").values()

    assert (apple.name, apple.version, apple.licence, apple.modules) == ("apple", "1.5", "Apache-2.0", {"apple"})
    assert installed.changed_files(apple) == []
    (tmp_path / "lib" / "apple" / "__init__.py").write_text("import os")
    assert installed.changed_files(apple) == ["apple/__init__.py"]
    (tmp_path / "lib" / "apple" / "__init__.py").unlink()
    assert installed.changed_files(apple) == ["apple/__init__.py"]
