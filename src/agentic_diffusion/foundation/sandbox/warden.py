"""The warden: a small process between us and a sandboxed program. It starts it, watches it, and leaves nothing behind.

It runs by itself (`python -I -S`), so the caller, who may have threads and much memory, is never forked. It is handed:
    a settings descriptor: one JSON document (see `process.Launch`);
    a control descriptor: end of file, or the word of a limit, means "stop now";
    a result descriptor: it writes one JSON document when everything has ended.
It is the sub-reaper of all that the program starts, so daemons that leave their session are found and killed as well.
Times are seconds, sizes bytes.
Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

from agentic_diffusion.foundation.sandbox import kernel

POLL = 0.02
"""Seconds between two looks at memory, processes and disk."""
KILL_ROUNDS = 500
"""How often the descendants of a warden that does not answer are looked for."""
HIGH = 64
"""Descriptors that the program must not see are moved above this number."""
PID_RESERVE = 6
"""Processes of the sandbox's own (two of bubblewrap, one helper), and those that are just going."""
# This process has to start quickly, so what is not needed is not loaded.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agentic_diffusion.foundation.sandbox.cgroup import ControlGroup


def main(settings_fd: int, control_fd: int, result_fd: int) -> None:
    """Run the program that the settings describe and report its end."""
    with os.fdopen(settings_fd, "rb") as pipe:
        settings = json.loads(pipe.read())
    for descriptor in (control_fd, result_fd):
        os.set_inheritable(descriptor, False)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    report = Warden(settings, control_fd).watch()
    with contextlib.suppress(BrokenPipeError):  # the caller may have gone
        os.write(result_fd, json.dumps(report).encode())


class Warden:
    """One program from its start to the end of its last descendant."""

    def __init__(self, settings: dict[str, Any], control: int) -> None:
        """Make the control group where one is asked for and works."""
        self.settings = settings
        self.limits = settings["limits"]
        self.control = control
        self.caller = os.getppid()
        self.started = time.monotonic()
        self.killed_by: str | None = None
        self.stopped = False
        self.peak = 0
        self.group: ControlGroup | None = None
        if settings["control_group"]:
            from agentic_diffusion.foundation.sandbox import cgroup

            self.group = cgroup.create(
                f"agd-{os.getpid()}",
                processes=self.limits["processes"] + PID_RESERVE,
                memory_bytes=self.limits["memory_bytes"],
            )

    def watch(self) -> dict[str, Any]:
        """Start the program, wait for its end or for a limit, kill what is left, and report."""
        try:
            child, failure, events = self._start()
        except OSError as error:
            return {"error": f"the program could not be started: {error}"}
        status, complaint = self._wait(child, failure)
        self._kill_all()
        if self.settings["scratch"] and os.getppid() != self.caller:
            from shutil import rmtree  # nobody is left who would remove it

            rmtree(self.settings["scratch"], ignore_errors=True)
        peak = self.peak
        if self.group is not None:
            if self.group.out_of_memory():
                self.killed_by = self.killed_by or "memory"
            peak = max(peak, self.group.peak())
            self.group.remove()
        if complaint:
            return {"error": complaint}
        if events is not None and not self.stopped and self.killed_by is None:
            with os.fdopen(events, "r") as pipe:
                if '"exit-code"' not in pipe.read():
                    return {"error": "bubblewrap ended before the program started"}
        return {
            "status": status,
            "killed_by": self.killed_by,
            "seconds": time.monotonic() - self.started,
            "peak_memory": peak,
        }

    # Starting -------------------------------------------------------------------------------------------------------

    def _start(self) -> tuple[int, int, int | None]:
        """Fork; returns the child, the descriptor of its complaint, and the descriptor of bubblewrap's events."""
        failure, complaint = _high_pipe()
        events: tuple[int, int] | None = _high_pipe() if self.settings["bubblewrap"] else None
        gate: tuple[int, int] | None = _high_pipe() if self.settings["bubblewrap"] else None
        child = os.fork()
        if child == 0:
            try:
                self._become_program(events, gate)
            except (OSError, ValueError) as error:
                os.write(complaint, f"the program could not be started: {error}".encode())
            finally:
                os._exit(127)
        os.close(complaint)
        if events is not None and gate is not None:
            os.close(events[1])
            os.close(gate[0])
            self._open_gate(events[0], gate[1])
        # nothing of the program's own input and output may stay open here
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        for descriptor in self.settings["descriptors"]:
            os.close(descriptor)
        return child, failure, events[0] if events else None

    def _become_program(self, events: tuple[int, int] | None, gate: tuple[int, int] | None) -> None:
        """In the child: session, limits, confinement, exec. Does not return unless something fails."""
        os.setsid()
        for number in range(1, signal.NSIG):  # an ignored signal would stay ignored in the program
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        argv = self.settings["argv"]
        keep = list(self.settings["descriptors"])
        if events is not None and gate is not None:
            argv = [
                text.format(events=events[1], gate=gate[0]) if text in {"{events}", "{gate}"} else text for text in argv
            ]
            keep += [events[1], gate[0]]
        for source, target in self.settings["protocol"]:
            os.dup2(source, target)
        for descriptor in keep:
            os.set_inheritable(descriptor, True)
        for source, _ in self.settings["protocol"]:
            os.set_inheritable(source, False)
        os.umask(0o022)
        if self.settings["directory"]:
            os.chdir(self.settings["directory"])
        if not self.settings["bubblewrap"] and self.group is not None:
            self.group.add(os.getpid())
        user = self.settings["user"]
        if user is not None:
            kernel.become(user, may_search=self.settings["may_search"])
        self._limit_self()
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        confinement = self.settings["landlock"]
        if confinement is not None:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            kernel.landlock(confinement["readable"], confinement["devices"], confinement["writable"])
            kernel.load_filter(bytes.fromhex(confinement["filter"]))
        os.execve(argv[0], argv, self.settings["environment"])  # noqa: S606  (a list, never a shell)

    def _limit_self(self) -> None:
        """The limits that do not disturb bubblewrap itself; RLIMIT_NPROC is set elsewhere for it."""
        limits = self.limits
        pairs = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_CPU: limits["cpu_seconds"],
            resource.RLIMIT_AS: limits["memory_bytes"] + limits["reserved_bytes"],
            resource.RLIMIT_FSIZE: limits["file_bytes"],
            resource.RLIMIT_NOFILE: 256,
            resource.RLIMIT_MEMLOCK: 65536,
        }
        if not self.settings["bubblewrap"]:
            pairs[resource.RLIMIT_NPROC] = self._task_limit()
        for name, value in pairs.items():
            _, hard = resource.getrlimit(name)
            top = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (top, top))

    def _task_limit(self) -> int:
        """RLIMIT_NPROC counts all tasks of a user: add those that a user of this machine has already."""
        if self.settings["user"] is not None:
            return int(self.limits["processes"])
        return int(self.limits["processes"]) + tasks_of(os.getuid())

    def _open_gate(self, events: int, gate: int) -> None:
        """Wait for bubblewrap's first event, limit and group the process it names, and let it go on."""
        first = b""
        while not first.endswith(b"\n"):
            piece = os.read(events, 1)
            if not piece:
                break
            first += piece
        if first:
            child = json.loads(first)["child-pid"]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # within its own user namespace the program's tasks are counted from zero
                top = self.limits["processes"] + PID_RESERVE
                resource.prlimit(child, resource.RLIMIT_NPROC, (top, top))
            if self.group is not None:
                with contextlib.suppress(ProcessLookupError):
                    self.group.add(child)
            with contextlib.suppress(BrokenPipeError):
                os.write(gate, b"1")
        os.close(gate)

    # Watching -------------------------------------------------------------------------------------------------------

    def _wait(self, child: int, failure: int) -> tuple[int, str]:
        """Until the program ends or a limit is crossed; returns its status and the complaint of a failed start."""
        end = self.started + self.limits["seconds"]
        ended = os.pidfd_open(child)
        looks = 0
        status = None
        while status is None:
            ready, _, _ = select.select([ended, self.control], [], [], max(0.0, min(POLL, end - time.monotonic())))
            if ended in ready:
                status = _status(os.waitpid(child, 0)[1])
            elif self.control in ready:
                self.stopped = True
                self.killed_by = os.read(self.control, 64).decode() or None
                status = 128 + signal.SIGKILL
            else:
                self.killed_by = "time" if time.monotonic() >= end else self._crossed(looks)
                looks += 1
                if self.killed_by:
                    status = 128 + signal.SIGKILL
        os.close(ended)
        complaint = b""
        if status == 127:
            complaint = os.read(failure, 4096)
        os.close(failure)
        return status, complaint.decode(errors="replace")

    def _crossed(self, looks: int) -> str | None:
        """The limit that the descendants together have crossed, if any."""
        family = descendants(os.getpid())
        memory = sum(resident(process) for process in family)
        self.peak = max(self.peak, memory)
        if memory > self.limits["memory_bytes"]:
            return "memory"
        # a second line behind RLIMIT_NPROC or the group, so it may not be the tighter one
        if len(family) > self.limits["processes"] + 2 * PID_RESERVE:
            return "processes"
        scratch = self.settings["scratch"]
        if scratch and looks % 3 == 0 and folder_size(scratch) > self.limits["scratch_bytes"]:
            return "scratch"
        return None

    def _kill_all(self) -> None:
        """Kill descendants until there are none: orphans come to us, so "no child" means that nobody is left."""
        if self.group is not None:
            self.group.kill()
        while True:
            for process in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)


def descendants(root: int) -> list[int]:
    """The living processes below `root`, children before grandchildren."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        process = waiting.pop()
        children = _children(process)
        found += children
        waiting += children
    return found


def kill_descendants(root: int) -> None:
    """Kill all below a process that may not do so itself; returns when what is left is dead or cannot be killed."""
    for _ in range(KILL_ROUNDS):
        alive = [process for process in descendants(root) if not is_dead(process)]
        if not alive:
            return
        for process in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def is_dead(process: int) -> bool:
    """Whether a process has gone or only waits for its parent."""
    text = _text(f"/proc/{process}/stat")
    return text is None or text.rpartition(")")[2].split()[0] in "ZX"


def processor_seconds(process: int) -> float:
    """Seconds of processor time that a process has used; 0.0 when it has gone."""
    text = _text(f"/proc/{process}/stat")
    if text is None:
        return 0.0
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _children(process: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{process}/task")  # noqa: PTH208  (hot loop)
    except OSError:
        return []
    children: list[int] = []
    for task in tasks:
        text = _text(f"/proc/{process}/task/{task}/children")
        if text is None:
            return [child for child, parent in _all_parents() if parent == process]
        children += [int(word) for word in text.split()]
    return children


def _all_parents() -> list[tuple[int, int]]:
    """(process, parent) of every process: for kernels without the children file."""
    pairs = []
    for name in os.listdir("/proc"):  # noqa: PTH208  (hot loop)
        if name.isdigit() and (text := _text(f"/proc/{name}/stat")):
            pairs.append((int(name), int(text.rpartition(")")[2].split()[1])))
    return pairs


def resident(process: int) -> int:
    """Bytes of anonymous and shared memory that a process has in RAM; the files it maps do not count."""
    total = 0
    for line in (_text(f"/proc/{process}/status") or "").splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            total += int(line.split()[1]) * 1024
    return total


def tasks_of(user: int) -> int:
    """How many tasks (processes and threads) a user has."""
    total = 0
    for name in os.listdir("/proc"):  # noqa: PTH208  (hot loop)
        if name.isdigit():
            text = _text(f"/proc/{name}/status") or ""
            fields = dict(line.partition(":")[::2] for line in text.splitlines())
            if "Uid" in fields and int(fields["Uid"].split()[0]) == user:
                total += int(fields.get("Threads", "1"))
    return total


def folder_size(folder: str) -> int:
    """Bytes on disk below a folder."""
    total = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118  (hot loop)
    return total


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123  (hot loop)
            return stream.read()
    except OSError:
        return None


def _high_pipe() -> tuple[int, int]:
    """A pipe with both ends above the descriptors that the program uses."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGH) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]


def _status(code: int) -> int:
    """Exit code, or 128 + N for signal N."""
    ended = os.waitstatus_to_exitcode(code)
    return ended if ended >= 0 else 128 - ended


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
