"""The worker for Go: `python -I -S worker_go.py TOOLS LIBRARY SHARED`, inside the sandbox.

Speaks the line protocol of `languages/harness.py` on descriptors 3 and 4. Each candidate becomes a package with the
tests beside it; the packages of a batch are compiled one by one, so that the compiler's errors name their own, and
linked into one program, which is run once a candidate, in a process of its own. A candidate whose own top level does
more than declare is linked alone, since the top level of all packages of a program runs at its start.
TOOLS holds `compile` and `link`, LIBRARY the compiled standard library, SHARED the packages that take the place of
some of it. Lines count from 1, times are seconds.
Standard library only; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

REQUEST, REPLY = 3, 4
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
NOT_RUN = "not run, since a case before it did not end"
_ERROR = re.compile(r"(?:\S*/)?(agd_candidate|agd_suite)\.go:(\d+):(?:(\d+):)? (.*)")
_SILENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_HARMLESS = re.compile(r"\b(?:make|new|len|errors\.New|regexp\.MustCompile|big\.NewInt|strings\.NewReplacer)\(")
_ACTIVE = re.compile(r"^func\s+init\s*\(|^var\s+[^(\n][^\n]*=[^\n]*\(|^var\s*\((?:[^)]|\)(?!\s*$))*=[^\n]*\(", re.M)


class Batch:
    """The compiler, the tests, and the candidates of one request."""

    def __init__(self, tools: str, libraries: list[str], home: str) -> None:
        """Learn where the compiled packages lie; those of the later folders win."""
        self.tools, self.home = tools, home
        sys.path.insert(0, home)  # for the file beside this one, and no longer: candidates write here
        self.running = importlib.import_module("worker_go_run")
        sys.path.remove(home)
        self.known: dict[str, str] = {}
        for library in libraries:
            for folder, _, names in os.walk(library):
                for name in names:
                    if name.endswith(".a"):
                        path = os.path.join(folder, name)
                        self.known[os.path.relpath(path, library)[:-2]] = path
        self.plain = self.configuration("plain")
        self.suite: dict[str, Any] = {}
        self.order: dict[str, Any] = {}

    def configuration(self, name: str, extra: dict[str, str] | None = None) -> str:
        """A file that says where the compiled packages lie."""
        path = os.path.join(self.home, f"importcfg.{name}")
        with open(path, "w", encoding="utf-8") as stream:
            for path_of_import, place in (self.known | (extra or {})).items():
                stream.write(f"packagefile {path_of_import}={place}\n")
        return path

    def tool(self, name: str, *words: str) -> str:
        """Run compile or link; what it complains of, or nothing."""
        done = subprocess.run(
            [os.path.join(self.tools, name), *words], capture_output=True, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "HOME": self.home, "TMPDIR": self.home, "GOGC": "400", "GOMAXPROCS": "1"},
        )  # fmt: skip
        if done.returncode == 0:
            return ""
        return (done.stdout + done.stderr).decode(errors="replace").strip() or f"exit code {done.returncode}"

    def compile(self, name: str, files: list[str], target: str) -> str:
        """Compile one package."""
        return self.tool("compile", "-p", name, "-complete", "-c", "1", "-importcfg", self.plain, "-o", target, *files)

    def judge(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A reply for every candidate."""
        work = os.path.join(self.home, "work")
        os.mkdir(work)
        compiled: dict[int, str] = {}
        problems: list[dict[str, Any]] = []
        together: list[int] = []
        alone: list[int] = []
        for candidate in request["judge"]:
            number, source = candidate["id"], candidate["source"].removeprefix("\ufeff")
            name = f"p{number}"
            folder = os.path.join(work, name)
            os.mkdir(folder)
            head = f"package {name}; "
            own, tests = os.path.join(folder, "agd_candidate.go"), os.path.join(folder, "agd_suite.go")
            with open(own, "w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
                stream.write(head + without_idle_imports(source, self.suite["imports"]))
            with open(tests, "w", encoding="utf-8", errors="surrogatepass") as stream:
                stream.write(f'{head}import _ "agd"; {self.suite["head"]}\n{self.suite["body"]}\n')
            target = os.path.join(work, f"{name}.a")
            complaint = self.compile(name, [own, tests], target)
            shutil.rmtree(folder)
            if complaint:
                problems.append({"id": number, "problem": problem_of(complaint, source, len(head)), "outcomes": []})
                continue
            compiled[number] = target
            (alone if _ACTIVE.search(_HARMLESS.sub("", _SILENT.sub("", source))) else together).append(number)
        yield from problems  # not before all are compiled: from the first answer on, the others are waited for
        groups = [[number] for number in alone]
        groups[:0] = [together] if together else []
        for group in groups:
            yield from self.run_group({number: compiled[number] for number in group}, request)
        shutil.rmtree(work)

    def run_group(self, group: dict[int, str], request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Link some candidates into one program and run it for each."""
        work = os.path.join(self.home, "work")
        packages = {f"p{number}": place for number, place in group.items()}
        source = os.path.join(work, "main.go")
        with open(source, "w", encoding="utf-8") as stream:
            imports = "".join(f'import "{name}"\n' for name in ("agd", "os", *packages))
            cases = "".join(f'case "{name}":\nagd.Run({name}.AgdCases())\n' for name in packages)
            stream.write(f"package main\n{imports}func main() {{\nswitch os.Args[1] {{\n{cases}}}\n}}\n")
        configuration = self.configuration("linked", packages)
        target, program = os.path.join(work, "main.a"), os.path.join(work, "program")
        complaint = self.tool("compile", "-p", "main", "-complete", "-importcfg", configuration, "-o", target, source)
        complaint = complaint or self.tool(
            "link", "-s", "-w", "-importcfg", configuration, "-buildmode", "exe", "-o", program, target
        )
        for place in (source, target, *packages.values()):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)  # nobody reads a neighbour
        for number in group:
            if complaint:
                words = complaint.splitlines()[0]
                yield {"id": number, "problem": {"line": 1, "column": 1, "message": words}, "outcomes": []}
            else:
                yield {"id": number, "problem": None, "outcomes": self.outcomes(program, f"p{number}", request)}

    def outcomes(self, program: str, name: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Run one candidate to the end of its cases, or to the one that it does not survive."""
        count = len(self.order["cases"])
        found: dict[int, dict[str, Any]] = {}
        end = time.monotonic() + request["seconds"]
        printed = 0
        while len(found) < count:
            run = self.running.Run(
                argv=[program, name, str(len(found))], request=request, order=self.order, end=end, printed=printed
            )
            ended = run.watch()
            printed = run.printed
            found |= run.found
            if ended is None:
                break
            status, message, kind, line = ended
            if message.startswith("faked"):
                found = {number: self.running.outcome(number, "error", message) for number in range(count)}
            elif len(found) < count:
                found[len(found)] = self.running.outcome(len(found), status, message, kind, line)
            if status not in ("error", "killed") or run.before_cases:
                for number in range(len(found), count):
                    found[number] = self.running.outcome(number, status, message if run.before_cases else NOT_RUN)
        for number in range(count):
            found.setdefault(number, self.running.outcome(number, "killed", "the program ended before the cases did"))
        return [found[number] for number in range(count)]


def without_idle_imports(source: str, paths: list[str]) -> str:
    """A candidate may import for the tests' sake, where both are meant to be one file: such an import stays quietly."""
    for path in paths:
        name = path.rpartition("/")[2]
        place = re.search(rf'^[ \t]*(?:import[ \t]*(?:\([ \t]*)?)?("{re.escape(path)}")', source, re.MULTILINE)
        if place and not re.search(rf"\b{name}\.", _SILENT.sub("", source)):
            source = f"{source[: place.start(1)]}_ {source[place.start(1) :]}"
    return source


def problem_of(complaint: str, source: str, head: int) -> dict[str, Any]:
    """What the compiler said first of the candidate, else of the tests beside it."""
    found = [match for line in complaint.splitlines() if (match := _ERROR.match(line.strip()))]
    for match in found:
        if match[1] == "agd_candidate":
            column = int(match[3] or 1)
            return {
                "line": int(match[2]), "column": max(1, column - head if match[2] == "1" else column),
                "message": match[4],
            }  # fmt: skip
    words = found[0][4] if found else complaint.splitlines()[0]
    line = 1
    for name in re.findall(r"[A-Za-z_]\w*", words):
        place = re.search(rf"^func\s+{name}\b", source, re.MULTILINE)
        if place:
            line = source.count("\n", 0, place.start()) + 1
            break
    return {"line": line, "column": 1, "message": f"the tests do not compile with it: {words}"}


def reap(home: str) -> bool:
    """End what candidates left running and empty their folder; whether nothing is left."""
    shutil.rmtree(os.path.join(home, "run"), ignore_errors=True)
    for _ in range(100):
        left = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", encoding="ascii") as stream:
                    if int(stream.read().rpartition(")")[2].split()[1]) == os.getpid():
                        left.append(int(name))
        for child in left:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
        if not left:
            return True
        time.sleep(0.005)
    return False


def lines_of(descriptor: int) -> Iterator[bytes]:
    """The lines that arrive at a descriptor."""
    waiting = b""
    while piece := os.read(descriptor, 1 << 20):
        waiting += piece
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            yield line


def say(record: dict[str, Any]) -> None:
    """Write one reply."""
    data = json.dumps(record).encode() + b"\n"
    while data:
        data = data[os.write(REPLY, data) :]


def main() -> None:
    """Answer requests until the pipe closes."""
    home = os.getcwd()
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    batch = Batch(sys.argv[1], sys.argv[2:], home)
    for line in lines_of(REQUEST):
        request = json.loads(line)
        if "open" in request:
            batch.order = request["open"]
            batch.suite = json.loads(batch.order["suite"])
            say({"ready": True})
            continue
        for reply in batch.judge(request):
            say({"nonce": request["nonce"], **reply})
        say({"done": len(request["judge"]), "clean": reap(home)})


if __name__ == "__main__":
    main()
