"""The worker for Java, compiled once for every JDK: a jar, and an archive with which its compiler starts faster.

They lie in the data folder, under a name made from the sources and the JDK, and are put there whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

from agentic_diffusion.foundation import events
from agentic_diffusion.installer import toolchains
from agentic_diffusion.installer.made_once import made_once
from agentic_diffusion.installer.programs import run
from agentic_diffusion.installer.toolchains import Found

SOURCES = Path(__file__).with_name("workers") / "java"
_LEAN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_SERVER = (*_LEAN, "-Xmx320m", "-XX:ReservedCodeCacheSize=48m", "-XX:CompressedClassSpaceSize=64m")
_RUNNER = (*_LEAN, "-XX:ReservedCodeCacheSize=48m", "-XX:CompressedClassSpaceSize=64m")
_TRAINING = [
    {"open": {"suite": json.dumps({"head": "import java.util.*;", "body": (
        "class AgdSuite { static void agd0() { if (!(Solution.twice(List.of(1)).get(0).equals(2)))"
        ' throw new AssertionError("does not hold" + agd.Checks.shown(1)); } }'
    )}), "cases": [{"name": "one", "line": 1}], "case_seconds": 30.0, "case_cpu": 30.0}},
    {"judge": [{"id": number, "source": (
        "/*agd Solution*/import java.util.*;\nimport java.util.stream.*;\nclass Solution {\n"
        " static List<Integer> twice(List<Integer> x) {\n  Map<String, Integer> m = new HashMap<>();\n"
        '  m.merge("a" + x, 1, Integer::sum);\n  StringBuilder s = new StringBuilder();\n'
        "  for (int i : x) s.append(i);\n"
        "  return x.stream().map(i -> i * 2).collect(Collectors.toList());\n }\n}\n" + "x" * (number == 2)
    )} for number in range(3)], "nonce": "training", "seconds": 60, "memory_bytes": 256 << 20, "output_bytes": 1000},
]  # fmt: skip
"""What the worker is led through before the archive is written: most classes that it will need."""


def command(found: Found) -> tuple[tuple[str, ...], Path]:
    """The command of the worker and the folder it needs to read; compiles the worker at its first use."""
    folder = _ready(found)
    return _command(found.program, folder, "-XX:SharedArchiveFile="), folder


def _command(java: Path, folder: Path, flag: str) -> tuple[str, ...]:
    """Server and runner over the shell, which puts the protocol's descriptors in the place of the standard ones."""
    jar = ("-cp", str(folder / "worker.jar"))
    quiet = ("-Xlog:disable", "-Xlog:all=off")
    server = (str(java), *_SERVER, *quiet, f"{flag}{folder}/server.jsa", *jar, "agd.Server")
    runner = (str(java), *_RUNNER, *quiet, *jar, "agd.Runner")
    return ("/bin/sh", "-c", 'exec "$@" <&3 >&4 3<&- 4>&-', "sh", *server, *runner)


def _ready(found: Found) -> Path:
    """The folder with the jar and the archive."""
    digest = hashlib.sha256(f"{found.version} {found.program} {_SERVER} {_RUNNER}".encode())
    files = sorted(SOURCES.rglob("*.java"))
    for path in files:
        digest.update(str(path.relative_to(SOURCES)).encode() + path.read_bytes())
    target = toolchains.folder_of("java-worker") / digest.hexdigest()[:16]
    if (target / "worker.jar").is_file():
        return target

    def make(work: Path) -> Path:
        events.say("the worker for Java is compiled once; this takes a few seconds")
        return _compile(found, files, work)

    # The archive knows the jar by its place, so that has to be there before it is made.
    return made_once(target, "compiling the worker for Java", make, finish=lambda made: _train(found, made))


def _compile(found: Found, files: list[Path], work: Path) -> Path:
    """The folder with the jar, in the work folder."""
    classes, made = work / "classes", work / "made"
    classes.mkdir(parents=True)
    made.mkdir()
    javac = str(found.root / "bin" / "javac")
    run(
        [javac, "-nowarn", "-proc:none", "-encoding", "UTF-8", "-d", str(classes), *map(str, files)],
        purpose="compile the worker for Java", tool="javac",
    )  # fmt: skip
    with zipfile.ZipFile(made / "worker.jar", "w") as jar:
        for path in sorted(classes.rglob("*.class")):
            jar.write(path, path.relative_to(classes).as_posix())
    return made


def _train(found: Found, target: Path) -> None:
    """Write the archive; without it the worker starts, too, only later."""
    asked, answered = target / "asked", target / "answered"
    asked.write_text("".join(f"{json.dumps(line)}\n" for line in _TRAINING), encoding="utf-8")
    words = _command(found.program, target, "-XX:ArchiveClassesAtExit=")
    # a shell of its own gives the two descriptors that a sandbox would
    shell = ["/bin/sh", "-c", 'in=$1; out=$2; shift 2; exec "$@" 3<"$in" 4>"$out"', "sh"]
    run(
        [*shell, str(asked), str(answered), *words],
        purpose="prepare the worker for Java", tool="java", env={"PATH": os.defpath, "LANG": "C.UTF-8"},
    )  # fmt: skip
    for path in (asked, answered):
        path.unlink(missing_ok=True)
