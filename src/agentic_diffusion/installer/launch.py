"""The launcher behind `./agd`: makes the environment on first use, then hands over to the real command.

    ./agd [--offline] COMMAND ...   sets up what COMMAND needs, then runs it in the environment
    ./agd setup                     sets up everything
    ./agd --bundle FILE [COMMAND]   sets up from a bundle, without network
    ./agd uninstall                 removes what set-up made
    ./agd dev test                  the project's tests, with their set-up

Run by file path on a Python that has nothing but its standard library. When everything is ready it reads one stamp and
hands over; the rest of the installer is not even imported then.
"""

# Every start pays for these imports, and pathlib would double its time:
# ruff: noqa: PTH100, PTH110, PTH118, PTH120
from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
_SRC = os.path.join(_ROOT, "src")

if __name__ == "__main__":
    # Run by path, the first entry is this file's folder, whose modules must not hide others of the same name.
    sys.path[:] = [_SRC, *(entry for entry in sys.path if entry != _HERE)]

from agentic_diffusion.installer.stamp import Stamp, child_environment  # noqa: E402

_LIGHT = frozenset({"", "config", "deps", "doctor", "help", "models", "runs", "shell"})
"""Commands that need neither torch nor the model."""
_OWN = frozenset({"setup", "uninstall", "dev"})
"""Commands that the launcher does itself."""
_WITH_VALUE = frozenset({"--bundle", "--log-level", "--log-style"})
"""Flags of every command that take the next word."""
_CORE = frozenset({"core"})
_ALL = frozenset({"core", "torch", "sandbox", "model"})


def main(arguments: list[str]) -> int:
    """Do what `arguments` ask for; returns the exit code unless the real command takes over."""
    bundle, arguments = split_bundle(arguments)
    offline, arguments = split_offline(arguments)
    if bundle:
        os.environ["AGD_BUNDLE"] = os.path.abspath(bundle)
        arguments = arguments if first_word(arguments) else [*arguments, "setup"]
    if offline or bundle:
        os.environ["AGD_OFFLINE"] = "1"
    command = first_word(arguments)
    if command not in _OWN:
        stamp = Stamp.read(os.path.join(_ROOT, ".agd", "stamp.json"))
        python = os.path.join(_ROOT, ".agd", "venv", "bin", "python")
        if stamp and stamp.covers(needs(arguments), _ROOT) and os.path.exists(python):
            hand_over(stamp.bubblewrap, arguments)
    from agentic_diffusion.installer import commands

    return commands.main(_ROOT, command, arguments, needs=needs, hand_over=hand_over)


def split_bundle(arguments: list[str]) -> tuple[str, list[str]]:
    """Take `--bundle FILE` out of the flags in front of the command; from there on AGD_BUNDLE says it."""
    place = command_place(arguments)
    front, rest = arguments[:place], arguments[place:]
    for number, word in enumerate(front):
        if word == "--bundle" and number + 1 < len(front):
            return front[number + 1], front[:number] + front[number + 2 :] + rest
        if word.startswith("--bundle="):
            return word.removeprefix("--bundle="), front[:number] + front[number + 1 :] + rest
    return "", arguments


def split_offline(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take `--offline` out of the flags in front of the command; from there on AGD_OFFLINE says it."""
    place = command_place(arguments)
    front, rest = arguments[:place], arguments[place:]
    return "--offline" in front, [word for word in front if word != "--offline"] + rest


def command_place(arguments: list[str]) -> int:
    """Where the command stands: at the first word that is neither a flag nor the value of one."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 2 if arguments[place] in _WITH_VALUE else 1
    return min(place, len(arguments))


def first_word(arguments: list[str]) -> str:
    """The command; empty without one."""
    return "".join(arguments[command_place(arguments) :][:1])


def needs(arguments: list[str]) -> frozenset[str]:
    """The parts that a command line needs; asking for help or for the version never needs the model."""
    if first_word(arguments) in _LIGHT or {"--help", "-h", "--version"} & set(arguments):
        return _CORE
    return _ALL


def hand_over(bubblewrap: str, arguments: list[str]) -> None:
    """Become the real command, in the user's folder and with stdin, stdout and stderr as they are."""
    environment = child_environment()
    if bubblewrap:
        environment.setdefault("AGD_BWRAP", bubblewrap)
    folder = os.path.join(_ROOT, ".agd", "venv", "bin")
    os.execve(  # noqa: S606 - no shell is wanted
        os.path.join(folder, "python"),
        [os.path.join(folder, "python"), "-P", os.path.join(folder, "agd"), *arguments],
        environment,
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        sys.exit(130)
