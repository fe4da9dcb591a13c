"""`agd deps`: the packages of a project: what needs what, whether all is as locked, where it runs, how it changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.cli import deps_change
from agentic_diffusion.cli.deps_common import Json, ProjectFolder, opened
from agentic_diffusion.cli.output import print_json, print_table
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.resources import atomic_write, format_size
from agentic_diffusion.installer import probe, torch_choice
from agentic_diffusion.packages import graph as graphs
from agentic_diffusion.packages import imports, installed, lock_diff, lockfile, picture, platforms, verify
from agentic_diffusion.packages.graph import Graph
from agentic_diffusion.packages.lockfile import Lock
from agentic_diffusion.packages.project import Format

app = App(name="deps", help="Packages: what needs what, is all as locked; upgrade, bundle.")
for _command in (
    deps_change.outdated, deps_change.lock, deps_change.sync, deps_change.add, deps_change.remove, deps_change.upgrade,
    deps_change.bundle,
):  # fmt: skip
    app.command(_command)


@app.command
def graph(
    name: str | None = None, /, *, project: ProjectFolder = Path(), svg: Path | None = None, here: bool = False,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Show what the lock holds and why: chains to a package, cycles, duplicates, licences, sizes, imports.

    Parameters
    ----------
    name
        A package: why it is here, who needs it, what it brings and costs. Without one the whole graph is summed up.
    project
        The folder with pyproject.toml and uv.lock.
    svg
        Draw the graph into this file.
    here
        Only what is needed on this machine with this Python.
    as_json
        One JSON object on stdout.

    """
    lock = lockfile.load(project)
    machine = probe.this_machine()
    made = graphs.build(lock, machine=machine if here else None)
    sizes = graphs.sizes(made, machine)
    if svg is not None:
        atomic_write(svg, picture.draw(made, sizes))
        events.say(f"the picture is in {svg}")
    place = installed.site_packages(project)
    there = installed.read(place) if place else {}
    if name is not None:
        facts = [
            _package(made, package.key, sizes, there) for package in lock.require(name) if package.key in made.packages
        ]
        if not facts:
            raise UsageError(f"{name} is locked, but nothing needs it on this machine.", hint="Leave out --here.")
        if as_json:
            print_json(facts)
        else:
            sys.stdout.write("".join(f"{line}\n" for fact in facts for line in _package_lines(fact)))
        return int(ExitCode.DONE)
    summary = _summary(lock, made, sizes, there, project)
    if as_json:
        print_json(summary)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _summary_lines(summary)))
    return int(ExitCode.DONE)


@app.command(name="verify")
def verify_lock(*, project: ProjectFolder = Path(), files: Path | None = None, as_json: Json = False) -> int:
    """Check that lock, pyproject.toml, environment and files belong together, hash by hash; exit code 1 when not.

    Parameters
    ----------
    project
        The folder with pyproject.toml and uv.lock.
    files
        A folder of wheels that are to be the locked ones.
    as_json
        One JSON object on stdout: problems, each with where, subject and words; and how much was right.

    """
    lock = lockfile.load(project)
    problems = verify.of_lock(lock)
    counts = {"hashes in the lock": sum(len(package.artifacts) for package in lock.packages)}
    if (project / "pyproject.toml").is_file() and not opened(project).fresh():
        words = "it does not fit pyproject.toml any more"
        problems.append(verify.Problem(where="lock", subject=lockfile.NAME, words=words))
    if files is not None:
        counts["files"], more = verify.of_files(lock, files)
        problems += more
    if place := installed.site_packages(project):
        counts["installed packages"], more = verify.of_environment(lock, place)
        problems += more
    if as_json:
        print_json({"problems": [problem.as_dict() for problem in problems], "right": counts})
    else:
        for problem in problems:
            sys.stdout.write(f"{problem.where}: {problem.subject}: {problem.words}\n")
        events.say(f"looked at {', '.join(f'{count} {what}' for what, count in counts.items())}: {len(problems)} wrong")
    return int(ExitCode.NEGATIVE if problems else ExitCode.DONE)


@app.command
def diff(old: Path, new: Path, /, *, as_json: Json = False) -> int:
    """Say in words what is different between two locks.

    Parameters
    ----------
    old
        A uv.lock, or the folder of one.
    new
        Another.
    as_json
        A JSON list on stdout, each with kind, name, old, new and words.

    """
    changes = lock_diff.diff(lockfile.load(old), lockfile.load(new))
    if as_json:
        print_json([change.as_dict() for change in changes])
    else:
        sys.stdout.write("".join(f"{change.words}\n" for change in changes) or "no difference\n")
    return int(ExitCode.DONE)


@app.command
def export(
    *, form: Annotated[Format, Parameter(name="--format")] = "requirements", project: ProjectFolder = Path(),
    extras: bool = False, groups: bool = False, out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
) -> int:  # fmt: skip
    """Write the lock as requirements.txt, pylock.toml (PEP 751) or a CycloneDX 1.5 list, with hashes, to stdout.

    Parameters
    ----------
    form
        requirements, pylock or cyclonedx.
    project
        The folder with pyproject.toml and uv.lock.
    extras
        The extras of the project, too.
    groups
        Its dependency groups, too.
    out
        Write to this file instead.

    """
    text = opened(project).export(form, extras=extras, groups=groups)
    if out is None:
        sys.stdout.write(text)
    else:
        atomic_write(out, text)
    return int(ExitCode.DONE)


@app.command(name="platforms")
def show_platforms(
    *names: str, project: ProjectFolder = Path(), python: str = "", extras: bool = False, groups: bool = False,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Show where the lock can be installed: by wheels, by compiling, or not at all (then exit code 1).

    Parameters
    ----------
    names
        Systems, such as linux-x86_64; all that are known without one.
    project
        The folder with pyproject.toml and uv.lock.
    python
        One version of Python, such as 3.12; 3.11 to 3.14 without it.
    extras
        Count what the extras of the project need.
    groups
        Count what its dependency groups need.
    as_json
        A JSON list on stdout, one object a system and Python.

    """
    pythons = (platforms.python_of(python),) if python else platforms.PYTHONS
    found = platforms.look(
        lockfile.load(project), names or tuple(platforms.SYSTEMS), pythons, extras=extras, groups=groups
    )
    rows = [one.as_dict() | {"torch": _torch(one.machine)} for one in found]
    if as_json:
        print_json(rows)
    else:
        cells = [
            (one.name, str(len(one.fates)), format_size(sum(fate.size for fate in one.fates)),
             ", ".join(fate.key for fate in one.of("compile")) or "-",
             ", ".join(fate.key for fate in one.of("blocks")) or "-")
            for one in found
        ]  # fmt: skip
        print_table(("platform", "packages", "to fetch", "to be compiled", "blocks"), cells)
        for system in dict.fromkeys(one.machine.system for one in found):
            first = next(one for one in found if one.machine.system == system)
            events.say(f"torch on {system}: {_torch(first.machine)}")
    return int(ExitCode.NEGATIVE if any(one.of("blocks") for one in found) else ExitCode.DONE)


def _torch(machine: Any) -> str:
    """Which build of torch the rule of set-up takes on a machine of which no more is known, in words."""
    if machine.system == "win32":
        return "not chosen: set-up does not run on Windows"
    facts = torch_choice.TorchFacts(machine=machine, cpu_index_answers=True)
    return torch_choice.choose_torch(facts).reason


def _package(made: Graph, key: str, sizes: dict[str, dict[str, int]], there: dict[str, Any]) -> dict[str, Any]:
    package = made.packages[key]
    facts = there.get(package.name)
    return {
        "name": package.name,
        "version": package.version,
        "source": f"{package.source} {package.place}",
        "licence": facts.licence if facts else None,
        "installed": facts.version if facts else None,
        "why": made.why(key),
        "needed_by": sorted(made.parents.get(key, ())),
        "needed_by_indirectly": sorted(made.dependents(key) - set(made.parents.get(key, ()))),
        "needs": sorted(made.children.get(key, ())),
        "gone_without_it": sorted(made.only_through(key) - {key}),
        "bytes": sizes[key],
    }


def _package_lines(fact: dict[str, Any]) -> list[str]:
    size = fact["bytes"]
    lines = [f"{fact['name']} {fact['version']} ({fact['licence'] or 'licence unknown: not installed here'})"]
    lines += [f"  here because {' -> '.join(chain)}" for chain in fact["why"]]
    lines.append(f"  needed by {len(fact['needed_by'])} directly, {len(fact['needed_by_indirectly'])} indirectly")
    lines.append(f"  needs {', '.join(fact['needs']) or 'nothing'}")
    lines.append(
        f"  to fetch: {format_size(size['own'])} itself, {format_size(size['subtree'])} with all that it needs,"
        f" {format_size(size['freed'])} less without it"
    )
    return lines


def _summary(
    lock: Lock, made: Graph, sizes: dict[str, dict[str, int]], there: dict[str, Any], project: Path
) -> dict[str, Any]:
    found = [imports.report(project, root, there) for root in lock.roots] if there else []
    return {
        "roots": list(made.roots),
        "packages": [
            {
                "key": key, "licence": there[package.name].licence if package.name in there else None,
                "needs": list(made.children.get(key, ())), "bytes": sizes[key],
            }
            for key, package in made.packages.items()
        ],
        "edges": [
            {"parent": edge.parent, "child": edge.child, "via": edge.via, "marker": edge.marker} for edge in made.edges
        ],
        "cycles": made.cycles(),
        "duplicates": made.duplicates(),
        "undeclared_imports": [
            {"module": one.module, "where": one.where, "brought_by": one.brought_by}
            for report in found for one in report.undeclared
        ],
        "unused_requirements": sorted({name for report in found for name in report.unused}),
        "imports_looked_at": bool(found),
    }  # fmt: skip


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    packages = [entry for entry in summary["packages"] if entry["key"] not in summary["roots"]]
    total = sum(entry["bytes"]["own"] for entry in packages)
    lines = [f"{len(packages)} packages, {format_size(total)} to fetch on this machine if all were wanted"]
    lines.append("largest, with what only they bring:")
    largest = sorted(packages, key=lambda entry: -entry["bytes"]["freed"])[:8]
    lines += [f"  {entry['key']}: {format_size(entry['bytes']['freed'])}" for entry in largest]
    lines.append(f"cycles: {'; '.join(' <-> '.join(cycle) for cycle in summary['cycles']) or 'none'}")
    twice = "; ".join(f"{name} {' and '.join(versions)}" for name, versions in summary["duplicates"].items())
    lines.append(f"several versions: {twice or 'none'}")
    licences: dict[str, int] = {}
    for entry in packages:
        licences[entry["licence"] or "unknown"] = licences.get(entry["licence"] or "unknown", 0) + 1
    counted = sorted(licences.items(), key=lambda item: (-item[1], item[0]))
    lines.append(f"licences: {', '.join(f'{name} {count}' for name, count in counted)}")
    if not summary["imports_looked_at"]:
        return [*lines, "imports: not looked at, since the project has no environment (agd deps sync)"]
    missing = [
        f"{one['module']} ({one['where']}, brought by {one['brought_by'] or 'nothing'})"
        for one in summary["undeclared_imports"]
    ]
    lines.append(f"imported, not declared: {', '.join(missing) or 'none'}")
    lines.append(f"declared, never imported: {', '.join(summary['unused_requirements']) or 'none'}")
    return lines
