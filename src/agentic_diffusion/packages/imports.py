"""What a project's Python imports, beside what it declares: unused and undeclared requirements.

    undeclared  imported, and brought by no direct requirement (by another package's, or by nothing that is installed)
    unused      required, installed, and imported nowhere

An import inside `try: ... except ImportError` or under TYPE_CHECKING is optional: it counts as a use, and is never
undeclared. Standard library only.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentic_diffusion.packages.installed import Installed
from agentic_diffusion.packages.lockfile import Package

_SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist", "site-packages"})
_CATCHES = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})


@dataclass(frozen=True, kw_only=True)
class Import:
    """One top-level module that is imported."""

    module: str
    """Its name."""
    line: int
    """Where."""
    optional: bool
    """Whether the program goes on without it."""


@dataclass(frozen=True, kw_only=True)
class Undeclared:
    """An import that no direct requirement brings."""

    module: str
    """Its name."""
    where: str
    """ "file:line" of the first one."""
    brought_by: str
    """The installed package that brings it by the way; empty when none does."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a project imports and declares."""

    undeclared: tuple[Undeclared, ...]
    """See above."""
    unused: tuple[str, ...]
    """See above."""
    unknown: tuple[str, ...]
    """Requirements that are not installed, so that their modules are not known."""
    unreadable: tuple[str, ...] = field(default=())
    """Files that are no Python."""


def imports_of(source: str) -> list[Import]:
    """The top-level modules that a program imports, in order; raises SyntaxError (or ValueError for null bytes)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a program's own invalid escapes are not our talk
        tree = ast.parse(source)
    return sorted(_walk(tree, optional=False), key=lambda found: (found.line, found.module))


def own_modules(project: Path) -> frozenset[str]:
    """The modules of the project itself: what lies in it, or in its src folder."""
    names = set()
    for base in (project, project / "src"):
        if base.is_dir():
            for path in base.iterdir():
                if path.suffix == ".py":
                    names.add(path.stem)
                elif path.is_dir() and not path.name.startswith(".") and path.name.isidentifier():
                    names.add(path.name)
    return frozenset(names)


def report(project: Path, root: Package, installed: Mapping[str, Installed]) -> Report:
    """Compare the imports of all files of a project with the direct requirements of `root`.

    Files beside each other may import each other: a module that any folder of the project holds is the project's.
    """
    everything = (*root.needs, *(need for needs in (*root.extras.values(), *root.groups.values()) for need in needs))
    declared = {need.name for need in everything}
    files = list(python_files(project))
    own = own_modules(project) | {path.stem for path in files} | {path.parent.name for path in files}
    own |= installed[root.name].modules if root.name in installed else frozenset()
    bringer = {module: package.name for package in installed.values() for module in sorted(package.modules)}
    for name in sorted(declared & installed.keys()):
        bringer |= dict.fromkeys(installed[name].modules, name)  # several may share a namespace: a declared one counts
    used: set[str] = set()
    undeclared: dict[str, Undeclared] = {}
    unreadable = []
    for path in files:
        try:
            found = imports_of(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, OSError, RecursionError):
            unreadable.append(str(path.relative_to(project)))
            continue
        for item in found:
            module = item.module
            if module in own or module in sys.stdlib_module_names:
                continue
            used.add(module)
            if bringer.get(module, "") not in declared and not item.optional:
                where = f"{path.relative_to(project)}:{item.line}"
                undeclared.setdefault(
                    module, Undeclared(module=module, where=where, brought_by=bringer.get(module, ""))
                )
    main = {need.name for need in root.needs}
    return Report(
        undeclared=tuple(undeclared[name] for name in sorted(undeclared)),
        unused=tuple(sorted(name for name in main & installed.keys() if not installed[name].modules & used)),
        unknown=tuple(sorted(main - installed.keys())),
        unreadable=tuple(unreadable),
    )


def python_files(folder: Path) -> Iterator[Path]:
    """The Python files below a folder; not those of environments, hidden folders and builds."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            skipped = path.name.startswith(".") or path.name in _SKIPPED or (path / "pyvenv.cfg").exists()
            if not skipped:
                yield from python_files(path)
        elif path.suffix == ".py":
            yield path


def _walk(node: ast.AST, *, optional: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(module=alias.name.split(".")[0], line=node.lineno, optional=optional)
    elif isinstance(node, ast.ImportFrom):
        if node.level == 0 and node.module and node.module != "__future__":
            yield Import(module=node.module.split(".")[0], line=node.lineno, optional=optional)
    elif isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
        for statement in node.body:
            yield from _walk(statement, optional=True)
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            yield from _walk(part, optional=optional)
    elif isinstance(node, ast.If) and _type_checking(node.test):
        for statement in node.body:
            yield from _walk(statement, optional=True)
        for statement in node.orelse:
            yield from _walk(statement, optional=optional)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, optional=optional)


def _catches(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CATCHES) for kind in kinds)


def _type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
