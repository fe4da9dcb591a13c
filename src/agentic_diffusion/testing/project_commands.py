"""How the tests of each language are run: the words of its own runner, its environment, and what it leaves to read.

`Order` is one run of one test file. A language's `Toolkit` holds what a worker needs once: folders that it reads,
files placed beside it, and what is run before the first test (Java's compiler). In words and values, {project} is the
folder of the project inside the worker, {home} the worker's own, {scratch} a fresh one for each run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.installer import toolchains
from agentic_diffusion.installer.go_library import variables
from agentic_diffusion.installer.made_once import made_once
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.toolchains import Found as Tool
from agentic_diffusion.testing import java_lines
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.project import Project

HERE = Path(__file__).parent
SHIM = HERE.parent / "domains" / "code" / "languages" / "workers" / "java"
"""Sources of the part of JUnit's interface that tests use, for projects without its jar."""
STRIPS_TYPES = (22, 6)
"""The first node that runs TypeScript by itself."""
_GO_WARM = """package warm
import ("errors"; "fmt"; "os"; "reflect"; "sort"; "strings"; "testing"; "time")
func TestWarm(t *testing.T) {
	words := fmt.Sprint(reflect.TypeOf(errors.New(strings.ToUpper("x"))), time.Second, os.Args)
	if words == "" || sort.SearchInts(nil, 1) != 0 { t.Fail() }
}
"""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One run of one test file."""

    form: str
    """How its results are read; see `project_tales`."""
    argv: tuple[str, ...] | None = None
    """The words of the program; None for Python, which runs in a fork of the worker."""
    python: Mapping[str, Any] | None = None
    """What `worker_pytest.main` is told."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables on top of the worker's."""
    cwd: str = "."
    """The folder to run in, relative to the project."""
    results: tuple[str, ...] = ()
    """Files and folders in {scratch} that are read afterwards."""
    first: tuple[str, ...] = ()
    """A program that runs before, such as a compiler; where it fails, the run ends with exit code 99."""
    unless: str = ""
    """A file whose presence makes that needless."""


@dataclass(frozen=True, kw_only=True)
class Toolkit:
    """What a worker needs for one language."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files beside the worker."""
    read_only: tuple[Path, ...] = ()
    """Folders that it may read."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Its variables."""
    prepare: tuple[tuple[str, ...], ...] = ()
    """Programs that run once, before the first test; what they say is kept by the tests that need them."""


def toolkit(project: Project, language: str, founds: Sequence[Found]) -> Toolkit:
    """What a worker for these test files needs; SetupError when the toolchain is missing."""
    if language == "python":
        return Toolkit(read_only=project.python.read_only)
    if language in ("javascript", "typescript"):
        node = toolchains.require("node")
        return Toolkit(files={"worker_node.mjs": (HERE / "worker_node.mjs").read_bytes()}, read_only=node.read_only)
    if language == "go":
        return _go_toolkit(project, toolchains.require("go"))
    return _java_toolkit(project, toolchains.require("jdk"), founds)


def order(
    project: Project, found: Found, *, names: Sequence[str] = (), branch: bool | None = None, words: Sequence[str] = ()
) -> Order:
    """The run of a test file: all of it, or the cases `names` where its runner can choose.

    `branch` asks for coverage, True with branches where the language offers them. `words` go to the runner as they are.
    """
    if found.language == "python":
        return _python(found, names, branch, words)
    if found.language == "go":
        return _go(project, found, names, branch, words)
    if found.language == "java":
        return _java(project, found, branch, words)
    return _script(project, found, branch, words)


# Python -----------------------------------------------------------------------------------------------------------


def _python(found: Found, names: Sequence[str], branch: bool | None, words: Sequence[str]) -> Order:
    cover = None if branch is None else {"branch": branch}
    told = {
        "framework": found.framework, "path": found.path, "words": list(words), "cover": cover,
        "names": list(names) or [found.path], "cases": list(names),
    }  # fmt: skip
    results = ("tale.jsonl", "coverage.json") if cover else ("tale.jsonl",)
    return Order(form="python", python=told, results=results)


# JavaScript and TypeScript ----------------------------------------------------------------------------------------


def _script(project: Project, found: Found, branch: bool | None, words: Sequence[str]) -> Order:
    node = toolchains.require("node")
    place = "{project}/" + found.path
    env = {} if branch is None else {"NODE_V8_COVERAGE": "{scratch}/v8"}
    covered = () if branch is None else ("v8",)
    if found.framework != "node":
        program = _installed(project, found)
        report = "{scratch}/jest.json"
        argv = (
            ("run", "--reporter=json", f"--outputFile={report}", *words, place)
            if found.framework == "vitest"
            else ("--json", f"--outputFile={report}", "--testLocationInResults", "--coverage=false", *words,
                  "--runTestsByPath", place)
        )  # fmt: skip
        return Order(
            form="jest", argv=(str(node.program), program, *argv), env=env | {"CI": "true"},
            results=("jest.json", *covered),
        )  # fmt: skip
    flags: list[str] = []
    if found.language == "typescript":
        version = tuple(int(part) for part in node.version.split(".")[:2])
        if version < STRIPS_TYPES:
            raise SetupError(
                f"Node.js {node.version} cannot run TypeScript, and 22.6 or newer can.",
                hint=f"run `{toolchains.setup_command('node')}` to bring one",
            )
        flags = ["--experimental-strip-types", "--no-warnings"] if version < (22, 18) else []
    # the reporter writes by itself: what it hands on is lost when a test ends the process
    reporter = ("--test-reporter", "{home}/worker_node.mjs", "--test-reporter-destination", "{scratch}/nothing")
    env = {**env, "AGD_NODE_TALE": "{scratch}/node.jsonl"}
    return Order(
        form="node", argv=(str(node.program), *flags, *reporter, *words, place), env=env,
        results=("node.jsonl", *covered),
    )  # fmt: skip


def _installed(project: Project, found: Found) -> str:
    """The program of vitest or jest inside the project; SetupError when it is named and not installed."""
    file = {"vitest": "vitest/vitest.mjs", "jest": "jest/bin/jest.js"}[found.framework]
    for folder in (project.root / found.path).parents:
        if (folder / "node_modules" / file).is_file():
            return "{project}/" + (folder / "node_modules" / file).relative_to(project.root).as_posix()
        if folder == project.root:
            break
    raise SetupError(
        f"The project uses {found.framework}, and it is not installed in node_modules.",
        hint=f"run `npm install` in {project.root}.",
    )


# Go -----------------------------------------------------------------------------------------------------------------


def _go_toolkit(project: Project, tool: Tool) -> Toolkit:
    cache = made_once(
        toolchains.folder_of("go-cache") / tool.version,
        "compiling what Go's tests need",
        lambda work: _warm(tool, work),
    )
    env = variables(tool.root, Path("{home}"))
    env |= {"GOCACHE": "{home}/gocache", "GOPATH": "{home}/gopath", "HOME": "{home}"}
    modules = Path.home() / "go" / "pkg" / "mod"
    read_only = [*tool.read_only, cache]
    if modules.is_dir():
        env["GOMODCACHE"] = str(modules)
        read_only.append(modules)
    if (project.root / "vendor").is_dir():
        env["GOFLAGS"] = "-mod=vendor"
    return Toolkit(read_only=tuple(read_only), env=env, prepare=(("cp", "-rs", str(cache), "{home}/gocache"),))


def _warm(tool: Tool, work: Path) -> Path:
    """A cache with what `go test` compiles of the standard library, with and without coverage."""
    module, made = work / "module", work / "cache"
    module.mkdir()
    made.mkdir()
    (module / "go.mod").write_text("module warm\n")
    (module / "warm_test.go").write_text(_GO_WARM)
    (module / "warm.go").write_text("package warm\n\nfunc One() int { return 1 }\n")
    for flags in ((), ("-coverprofile", str(work / "profile"))):
        run(
            [str(tool.program), "test", *flags, "./..."],
            purpose="prepare Go's tests", tool="go", cwd=str(module),
            env=variables(tool.root, made) | {"GOPATH": str(work / "path")},
        )  # fmt: skip
    return made


def _go(project: Project, found: Found, names: Sequence[str], branch: bool | None, words: Sequence[str]) -> Order:
    go = toolchains.require("go")
    flags = ["-run", "^(" + "|".join(re.escape(name.split("/")[0]) for name in names) + ")$"] if names else []
    if found.rule.startswith("marker "):
        flags += ["-tags", found.rule.removeprefix("marker ")]
    if branch is not None:
        flags += ["-covermode=count", "-coverpkg=./...", "-coverprofile={scratch}/cover.out"]
    module = _module_of(project, found.unit)
    env = {} if module is not None else {"GO111MODULE": "off"}
    inner = os.path.relpath(found.unit, module or ".")
    shell = ("/bin/sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "sh", "{scratch}/go.jsonl")
    return Order(
        form="go", argv=(*shell, str(go.program), "test", "-json", "-count=1", *flags, *words, f"./{inner}"), env=env,
        cwd=module or ".", results=("go.jsonl", *(() if branch is None else ("cover.out",))),
    )  # fmt: skip


def _module_of(project: Project, folder: str) -> str | None:
    """The folder with the go.mod that a package belongs to, relative to the project."""
    place = project.root / folder
    for parent in (place, *place.parents):
        if (parent / "go.mod").is_file():
            return parent.relative_to(project.root).as_posix()
        if parent == project.root:
            return None
    return None


# Java ---------------------------------------------------------------------------------------------------------------

_LEAN_JAVAC = (
    "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-J-XX:-UsePerfData", "-nowarn", "-proc:none", "-encoding",
    "UTF-8", "-g",
)  # fmt: skip
LEAN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto", "-Xmx1g")


def _java_toolkit(project: Project, jdk: Tool, founds: Sequence[Found]) -> Toolkit:
    """Everything is compiled at once; if that fails, the programs first and then each test by itself."""
    tests = {found.path for found in founds}
    own = sorted(path.relative_to(project.root).as_posix() for path in _java_files(project.root))
    own_junit = [SHIM / "agd" / "Checks.java", *sorted((SHIM / "org").rglob("*.java"))]
    shim = [str(path) for path in own_junit] if project.junit_jar is None else []
    shim += [str(path) for path in sorted((HERE / "worker_java").rglob("*.java"))]
    flags = (
        str(jdk.root / "bin" / "javac"),
        *_LEAN_JAVAC,
        "-cp",
        _class_path(project),
        "-d",
        "{home}/classes",
    )
    programs = [f"{{project}}/{path}" for path in own if path not in tests]
    both = [*programs, *(f"{{project}}/{path}" for path in sorted(tests))]
    steps: list[tuple[str, ...]] = [(*flags, *shim)]
    steps.append(("/bin/sh", "-c", 'once=$1; shift; "$@" && touch "$once"', "sh", "{home}/whole", *flags, *both))
    if programs:
        steps.append(
            ("/bin/sh", "-c", 'test -f "$1" || { shift; exec "$@"; }', "sh", "{home}/whole", *flags, *programs)
        )
    return Toolkit(read_only=(*jdk.read_only, HERE / "worker_java", SHIM), env=dict(jdk.env), prepare=tuple(steps))


def _java(project: Project, found: Found, branch: bool | None, words: Sequence[str]) -> Order:
    jdk = toolchains.require("jdk")
    name, place = class_name(project.root / found.path), "{project}/" + found.path
    classes = "{scratch}/own:{home}/classes:" + _class_path(project)
    results: tuple[str, ...] = ()
    run_java = (str(jdk.program), "-ea", *LEAN)
    jar = project.junit_jar
    if found.framework == "main":
        form = "main"
        rest = (*run_java, "-cp", classes, *words, name)
    elif jar is None:
        form, results = "java", ("tale.jsonl",)
        rest = (*run_java, "-cp", classes, *words, "agd.Tests", "{scratch}/tale.jsonl", name)
    else:
        form, results = "junit", ("reports/TEST-junit-jupiter.xml",)
        verb = () if re.search(r"-1\.[0-9]\.", jar.name) else ("execute",)
        rest = (
            *run_java, "-jar", "{project}/" + jar.relative_to(project.root).as_posix(), *verb, "--disable-banner",
            "--class-path", classes, "--select-class", name, "--reports-dir", "{scratch}/reports", *words,
        )  # fmt: skip
    compile_own = (
        str(jdk.root / "bin" / "javac"), *_LEAN_JAVAC, "-cp",
        "{home}/classes:" + _class_path(project), "-sourcepath", "{project}/" + _source_root(found.path, name),
        "-d", "{scratch}/own", place,
    )  # fmt: skip
    env = {} if branch is None else {java_lines.VARIABLE: "{scratch}/lines.txt"}
    results = results if branch is None else (*results, "lines.txt")
    return Order(form=form, argv=rest, env=env, first=compile_own, unless="{home}/whole", results=results)


def _class_path(project: Project) -> str:
    jars = [f"{{project}}/{jar.relative_to(project.root).as_posix()}" for jar in project.jars]
    return ":".join(["{home}/classes", *jars])


def _java_files(root: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = [
            name for name in folders if not name.startswith(".") and name not in ("target", "build", "node_modules")
        ]
        found += [Path(place, name) for name in names if name.endswith(".java")]
    return found


def java_compiler(project: Project, path: str) -> tuple[str, ...]:
    """The words that compile one program again, over what was compiled of it before."""
    javac = toolchains.require("jdk").root / "bin" / "javac"
    return (
        str(javac), *_LEAN_JAVAC, "-cp", _class_path(project), "-d",
        "{home}/classes", f"{{project}}/{path}",
    )  # fmt: skip


def java_programs(project: Project, founds: Sequence[Found]) -> list[str]:
    """The Java files that are no tests, relative to the project."""
    tests = {found.path for found in founds}
    own = (path.relative_to(project.root).as_posix() for path in _java_files(project.root))
    return sorted(path for path in own if path not in tests)


def class_name(path: Path) -> str:
    """The full name of the class that a Java file is named after."""
    source = path.read_text(encoding="utf-8", errors="replace")
    package = re.search(r"^\s*package\s+([\w.]+)\s*;", source, re.MULTILINE)
    return f"{package[1]}.{path.stem}" if package else path.stem


def _source_root(relative: str, name: str) -> str:
    """The folder that a Java file's package begins in, relative to the project."""
    folders = relative.split("/")[: -len(name.split("."))]
    return "/".join(folders) or "."
