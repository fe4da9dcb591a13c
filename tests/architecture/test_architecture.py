"""The rules of the house, checked by the tools that know them: imports go down, types, lint and format are clean."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "agentic_diffusion"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
FLOOR = next(contract for contract in CONTRACTS if contract["id"] == "bare-machine")


def _run(*command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_imports_only_go_down():
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    result = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


def test_lint_is_clean():
    _run("ruff", "check", "--no-cache", ".")


def test_format_is_clean():
    _run("ruff", "format", "--no-cache", "--check", ".")


def test_types_are_strict_and_clean():
    _run("mypy", "--strict")


def test_the_launchers_floor_imports_nothing_but_the_standard_library():
    graph = grimp.build_graph(
        "agentic_diffusion", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    floor = {module for source in FLOOR["source_modules"] for module in {source, *graph.find_descendants(source)}}
    allowed = {tuple(line.split(" -> ")) for line in FLOOR["ignore_imports"]}
    foreign = {
        (module, imported)
        for module in floor
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and imported != "agentic_diffusion"
        and imported not in floor
    }
    assert foreign == allowed


def test_the_launchers_floor_imports_without_installed_packages():
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for folder in ("installer", "packages")
        for path in sorted((SOURCE / folder).glob("*.py"))
    ]
    lines = "".join(f"import {module.removesuffix('.__init__')}\n" for module in modules)
    # -S leaves out the installed packages, -I the environment and the current folder.
    code = f"import sys\nsys.path.insert(0, {str(SOURCE.parent)!r})\n{lines}"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(modules) > 2


def test_what_the_package_reads_at_run_time_is_tracked():
    """A file that a rule of .gitignore hides is here and would be missing in a clone."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no git checkout")
    there = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", SOURCE.relative_to(ROOT)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    tracked = set(listed.stdout.split("\0"))
    package = SOURCE.relative_to(ROOT).as_posix()
    weights = [f"diffusion/weights/{name}.safetensors" for name in ("block-adapter", "maze-planner")]
    read_at_run_time = {f"{package}/{name}" for name in (*weights, "installer/manifest.toml", "py.typed")}
    assert read_at_run_time <= tracked
    assert read_at_run_time <= there
    shipped = {name for name in there if not name.endswith(".py")}
    assert shipped <= tracked, "a file beside the sources is not tracked"


def _files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.stat().st_size)


def test_a_file_opens_with_its_subject_and_stays_short():
    for path in _files():
        text = path.read_text()
        assert re.match(r'(#![^\n]*\n)?r?"""', text), f"{path} does not open with a docstring"
        assert text.count("\n") <= 440, f"{path} is longer than about 400 lines"
