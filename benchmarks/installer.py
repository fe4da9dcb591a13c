"""What a set-up costs when nothing is to be done, how long the doctor takes, and what faults do to a set-up.

    python benchmarks/installer.py [--faults] [--out benchmarks/results/installer.json]

Warm figures are those of this checkout, or of the environment that runs (best of five). With --faults a small project
(the one of the tests: real launcher, real uv, a wheel called torch, a small model) is set up once for each fault; then
the fault is taken away and the same command has to finish, and `agd uninstall` has to leave nothing. Prints tables in
Markdown and the count of faults that ended well.
"""

from __future__ import annotations

import argparse
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in ("src", "tests", "tests/installer"):
    sys.path.insert(0, str(ROOT / folder))

from results import write_result  # noqa: E402 - beside this file
from small_checkout import PYTHON, Checkout, end, make_checkout  # noqa: E402
from tiny_model import GGUF, HUB, TinyModel, manifest_text  # noqa: E402

BEST_OF = 5
STEPS = ("environment", "torch", "model")
KILLED = """
import os, signal, sys
sys.path.insert(0, {src!r})
from pathlib import Path
from agentic_diffusion.installer import apply, layout, plan, setup
real = apply.Journal.write
def killed(self, event, step, owns=""):
    if (event, step) == ({event!r}, {step!r}) and {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, event, step, owns)
    if (event, step) == ({event!r}, {step!r}):
        os.kill(os.getpid(), signal.SIGKILL)
apply.Journal.write = killed
setup.set_up(layout.checkout(Path({root!r})), setup.Request(wanted=plan.DEFAULT, offline=True))
"""
Fault = Callable[[Checkout], None]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", action="store_true", help="inject faults into small set-ups, too")
    parser.add_argument("--out", type=Path, help="write the figures to this result file, too")
    options = parser.parse_args()
    agd = str(ROOT / "agd") if (ROOT / ".agd" / "venv").exists() else str(Path(sys.executable).with_name("agd"))
    warm = best([agd, "setup", "--offline"], allowed=(0,))
    doctor = best([agd, "doctor", "--offline"], allowed=(0, 1))
    print("| command | seconds, best of 5 |\n|---|---|")
    print(f"| `agd setup` with nothing to do | {warm:.2f} |\n| `agd doctor --offline` | {doctor:.2f} |")
    rows = list(faults()) if options.faults else []
    if rows:
        well = sum(row["ended_well"] for row in rows)
        print("\n| fault | what was said | finished afterwards | nothing left |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row['fault']} | {row['said']} | {row['finished']} | {row['clean']} |")
        print(f"\n{well} of {len(rows)} faults ended finished or cleanly undone")
    write_result(options.out, "installer", rows, warm_setup_seconds=warm, doctor_seconds=doctor)
    return 0 if all(row["ended_well"] for row in rows) else 1


def best(command: list[str], *, allowed: tuple[int, ...]) -> float:
    """The shortest of several runs, in seconds."""
    seconds = []
    for _ in range(BEST_OF):
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(time.monotonic() - started)
        if done.returncode not in allowed:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return round(min(seconds), 2)


def faults() -> Iterator[dict[str, object]]:
    """One row for each fault."""
    for name, fault in table().items():
        with tempfile.TemporaryDirectory(prefix="agd-fault-") as folder, small(Path(folder)) as checkout:
            before = {path.name for path in checkout.root.iterdir()}
            said = fault(checkout) or ""
            finished = checkout.run("generate", "x")
            removed = checkout.run("uninstall", "--models")
            clean = removed.returncode == 0 and {path.name for path in checkout.root.iterdir()} == before
            home = Path(checkout.environment["HOME"])
            clean = clean and not any(path.name in ("models", ".agd") for path in home.rglob("*"))
            row = {
                "fault": name, "said": said.replace(folder, "..."), "finished": finished.returncode == 0,
                "clean": clean,
                "ended_well": finished.returncode == 0 and clean,
            }  # fmt: skip
            print(f"{name}: {row['ended_well']}", file=sys.stderr)
            yield row


def table() -> dict[str, Callable[[Checkout], str]]:
    """Every fault by name: it runs a set-up with the fault, takes the fault away and returns the error's sentence."""
    found: dict[str, Callable[[Checkout], str]] = {}
    for step in STEPS:
        found[f"killed when {step} has begun"] = killed("begin", step, before=False)
        found[f"killed when {step} is done and not yet noted"] = killed("end", step, before=True)
        found[f"killed when {step} is noted"] = killed("end", step, before=False)
    return found | {
        "full disk at the environment": full_disk(".agd"),
        "full disk at the models": full_disk("home"),
        "corrupt model": corrupt_model,
        "corrupt torch wheel": corrupt_torch,
        "folder that may not be written": read_only,
        "name that does not resolve": address("http://nowhere.example/tiny.gguf"),
        "address that refuses": address("http://127.0.0.1:9/tiny.gguf"),
        "proxy that asks for a password": proxy,
        "interrupted": interrupted,
        "two at once": two_at_once,
    }


def killed(event: str, step: str, *, before: bool) -> Callable[[Checkout], str]:
    """SIGKILL at one line of the journal."""

    def fault(checkout: Checkout) -> str:
        code = KILLED.format(
            src=str(checkout.root / "src"), root=str(checkout.root), event=event, step=step, before=before
        )
        done = subprocess.run(
            [PYTHON, "-I", "-S", "-c", code], env=checkout.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode < 0, done.stderr
        return "killed"

    return fault


def full_disk(place: str) -> Callable[[Checkout], str]:
    """A disk of 64 kB where something is to be written; needs root."""

    def fault(checkout: Checkout) -> str:
        folder = checkout.state if place == ".agd" else Path(checkout.environment["HOME"])
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
        try:
            (folder / "filler").write_bytes(bytes(60_000))
            return failed(checkout)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
            folder.rmdir()

    return fault


def corrupt_model(checkout: Checkout) -> str:
    """One byte of the weights is another."""
    return changed(checkout, Path(checkout.environment["AGD_MODEL_SOURCE"]) / "model.safetensors", b"x")


def corrupt_torch(checkout: Checkout) -> str:
    """The wheel is torn."""
    (wheel,) = Path(checkout.environment["PIP_FIND_LINKS"]).glob("torch-*.whl")
    return changed(checkout, wheel, b"torn")


def read_only(checkout: Checkout) -> str:
    """Root may write everywhere, so a file stands where a folder is needed."""
    checkout.state.write_text("")
    said = failed(checkout)
    checkout.state.unlink()
    return said


def address(url: str) -> Callable[[Checkout], str]:
    """The model at an address that cannot be reached."""

    def fault(checkout: Checkout) -> str:
        all_but_the_model(checkout)
        return failed(checkout, AGD_MODEL_SOURCE=url, AGD_OFFLINE="")

    return fault


def proxy(checkout: Checkout) -> str:
    """A proxy that answers 407."""

    class Asks(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(407)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        all_but_the_model(checkout)
        said = failed(
            checkout, AGD_MODEL_SOURCE="http://models.example/tiny.gguf", AGD_OFFLINE="",
            http_proxy=here,
        )  # fmt: skip
        server.shutdown()
    return said


def all_but_the_model(checkout: Checkout) -> None:
    """So that it is the model's download that meets the fault."""
    failed(checkout, AGD_MODEL_SOURCE="/nowhere")


def interrupted(checkout: Checkout) -> str:
    """SIGTERM in the middle of the environment."""
    wait = checkout.root.parent / "wait"
    wait.touch()
    process = checkout.start("generate", "x", AGD_TEST_WAIT=str(wait))
    checkout.wait_for_step("environment")
    process.terminate()
    wait.unlink()
    _, err = process.communicate(timeout=300)
    return err.strip().splitlines()[-1]


def two_at_once(checkout: Checkout) -> str:
    """Two first runs share one set-up."""
    both = [checkout.start("generate", word) for word in ("1", "2")]
    codes = []
    for process in both:
        process.communicate(timeout=600)
        codes.append(process.returncode)
    return f"exit codes {codes}"


def changed(checkout: Checkout, path: Path, content: bytes) -> str:
    """Run with another content of a file, and put it back."""
    right = path.read_bytes()
    path.write_bytes(content + right[len(content) :] if content == b"x" else content)
    said = failed(checkout)
    path.write_bytes(right)
    return said


def failed(checkout: Checkout, **environment: str) -> str:
    """The sentence of a run that has to fail."""
    done = checkout.run("generate", "x", **environment)
    assert done.returncode != 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else done.stderr.strip()


@contextmanager
def small(folder: Path) -> Iterator[Checkout]:
    """The small project of the tests in a fresh clone."""
    place = folder / "tiny model"
    (place / "index").mkdir(parents=True)
    (place / "hub").mkdir()
    model = TinyModel(place)
    model.gguf.write_bytes(GGUF)
    with zipfile.ZipFile(model.wheel, "w") as archive:
        archive.writestr("tiny/tiny.gguf", GGUF)
    for name, content in HUB.items():
        (place / "hub" / name).write_bytes(content)
    model.manifest.write_text(manifest_text(model))
    made = make_checkout(folder, model)
    made.environment = {"HOME": os.environ.get("HOME", "/")} | made.environment
    try:
        yield made
    finally:
        end(made)
        shutil.rmtree(made.state, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
