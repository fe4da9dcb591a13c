"""What sandboxed code must not be able to do. This file runs INSIDE a sandbox, and nowhere else.

argv: the name of an attack and its arguments as JSON. Prints one JSON value. It refuses to start unless the test that
sends it in has said so in the environment, which no other runner does.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)


def tried(function, *arguments):
    """ "done", or the name of what refused it."""
    try:
        function(*arguments)
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"


def network(port, abstract, path):
    def connect(family, kind, address):
        with socket.socket(family, kind) as end:
            end.settimeout(2)
            end.connect(address)

    def send(family, address):
        with socket.socket(family, socket.SOCK_DGRAM) as end:
            end.sendto(b"x", address)

    return {
        "tcp": tried(connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        "tcp6": tried(connect, socket.AF_INET6, socket.SOCK_STREAM, ("::1", port)),
        "udp": tried(send, socket.AF_INET, ("127.0.0.1", port)),
        "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        "netlink": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
        "packet": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
        "abstract": tried(connect, socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        "unix path": tried(connect, socket.AF_UNIX, socket.SOCK_STREAM, path),
    }


def write_outside(canary):
    def write(path):
        with open(path, "w") as stream:
            stream.write("x")

    def through_a_link():
        os.symlink(canary, "link")
        write("link/through")

    found = {
        place: tried(write, place + "/agd-attack")
        for place in (canary, "/", "/usr", "/usr/lib", "/dev", "/var/tmp", "/run", "/etc", "/proc")
    }
    found["a link"] = tried(through_a_link)
    found["overwrite"] = tried(write, canary + "/readable")
    found["chmod"] = tried(os.chmod, canary + "/readable", 0o777)
    found["utime"] = tried(os.utime, canary + "/readable", (1, 1))
    found["unlink"] = tried(os.unlink, canary + "/readable")
    found["rename"] = tried(os.rename, canary + "/readable", "mine")
    found["hard link"] = tried(os.link, canary + "/readable", "mine")
    # only opened: nothing is written even where that would work
    for name in ("sys/kernel/hostname", "sys/kernel/core_pattern", "sys/vm/drop_caches", "sysrq-trigger", "self/comm"):
        found[name] = tried(lambda path="/proc/" + name: os.close(os.open(path, os.O_WRONLY)))
    return found


def read_outside(canary, home, allowed, pid):
    def read(path):
        with open(path, "rb") as stream:
            stream.read(1)

    found = {path: tried(read, path) for path in (canary + "/readable", "/etc/shadow", "/etc/passwd", "/etc/hostname")}
    found["environment of the caller"] = tried(read, f"/proc/{pid}/environ")
    found["command of the caller"] = tried(read, f"/proc/{pid}/cmdline")
    try:
        found["home"] = sorted(set(os.listdir(home)) - set(allowed))
    except OSError:
        found["home"] = []
    return found


def fork_bomb(wanted):
    made = 0
    for _ in range(wanted):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
    return made


def endless_fork_bomb():
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def memory_of_one(size):
    return tried(lambda: bytearray(size))


def memory_in_sum(children, size):
    for _ in range(children):
        if os.fork() == 0:
            held = bytearray(size)
            for place in range(0, size, 4096):
                held[place] = 1
            print("full", flush=True)
            time.sleep(30)
            os._exit(0)
    time.sleep(30)


def disk_bomb(files, size):
    total = 0
    for number in range(files):
        try:
            with open(f"file{number}", "wb") as stream:
                stream.write(b"x" * size)
        except OSError as error:
            print(json.dumps({"written": total, "error": type(error).__name__}), flush=True)
            return None
        total += size
        time.sleep(0.005)
    time.sleep(1)
    return {"written": total, "error": "none"}


def one_large_file(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def write():
        with open("large", "wb") as stream:
            for _ in range(size // 65536):
                stream.write(b"x" * 65536)

    return tried(write)


def shared_memory(size):
    """Memory that belongs to no process: /dev/shm, a memory file, a System V segment."""

    def fill(path):
        with open(path, "wb") as stream:
            for _ in range(size // 65536):
                stream.write(b"x" * 65536)

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return [tried(fill, f"/dev/shm/file{number}") for number in range(8)]


def output_bomb():
    while True:
        os.write(1, b"x" * 65536)


def daemons(marker):
    """Two daemons that have left session, group and parent; they carry `marker` in their command line."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(120)", marker])
            os._exit(0)
        os.wait()
    time.sleep(0.3)
    return "left"


def other_process(pid):
    def kill():
        os.kill(pid, signal.SIGKILL)

    def attach():
        if LIBC.ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
            raise OSError(ctypes.get_errno(), "ptrace")

    def memory():
        with open(f"/proc/{pid}/mem", "rb") as stream:
            stream.read(1)

    def limit():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))

    return {"kill": tried(kill), "attach": tried(attach), "memory": tried(memory), "limit": tried(limit)}


def calls(numbers):
    """errno of each system call, made with nothing but zeros."""
    found = {}
    for name, number in numbers.items():
        ctypes.set_errno(0)
        answer = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(0) for _ in range(6)))
        found[name] = ctypes.get_errno() if answer == -1 else 0
    return found


def namespaces(clone, clone3):
    def errno_of(answer):
        return ctypes.get_errno() if answer == -1 else 0

    flags = {"user": 0x10000000, "net": 0x40000000, "mount": 0x20000, "pid": 0x20000000}
    found = {name: errno_of(LIBC.unshare(flag)) for name, flag in flags.items()}
    os.mkdir("point")
    found["mount"] = errno_of(LIBC.mount(b"tmpfs", b"point", b"tmpfs", 0, None))
    for name, flag in flags.items():
        child = LIBC.syscall(ctypes.c_long(clone), ctypes.c_long(flag | signal.SIGCHLD), *[ctypes.c_long(0)] * 4)
        if child == 0:
            os._exit(0)
        found["clone " + name] = errno_of(child)
    found["clone3"] = errno_of(LIBC.syscall(ctypes.c_long(clone3), None, ctypes.c_long(0)))
    return found


def typing_into_the_terminal():
    import fcntl

    return tried(lambda: fcntl.ioctl(0, 0x5412, b"x"))


def who():
    return {"uid": os.getuid(), "environment": dict(os.environ), "files": os.listdir("."), "folder": os.getcwd()}


if __name__ == "__main__":
    if os.environ.get("AGD_INSIDE_A_SANDBOX") != "yes":
        sys.exit("attacks.py runs only inside a sandbox")
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))), flush=True)
