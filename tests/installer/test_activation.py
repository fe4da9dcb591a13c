"""A shell is activated and brought back exactly: its variables, functions, PATH and completions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agentic_diffusion.cli import shell
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.installer import activation

WORDS = {"agd": ["deps", "doctor", "--help"], "agd deps": ["graph", "verify", "--help"], "agd deps graph": ["--json"]}
FOLDER = "/tmp/a folder's place"
SEEN = {
    "bash": 'compgen -v | grep -vE "^(BASH|FUNCNAME|PIPESTATUS|RANDOM|SECONDS|SRANDOM|EPOCH|LINENO|_$|state|OLDPWD)";'
    ' declare -F; complete -p; echo "$PATH"; export -p | grep -v OLDPWD',
    "zsh": 'typeset +m "*" | sort | grep -vE "RANDOM|SECONDS|EPOCH|LINENO|status|^_$"; functions; echo "$PATH"',
    "fish": "set -n | string match -rv 'status|CMD_DURATION|history'; functions -n; complete -c agd; echo $PATH",
}
"""What there is in a shell, by its own commands."""


def run(name: str, script: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name}")
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    done = subprocess.run([program, *quiet, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_deactivation_puts_everything_back(name: str, tmp_path: Path) -> None:
    text = activation.script(name, FOLDER, WORDS)
    (tmp_path / "activate").write_text(text)
    source = f"source '{tmp_path}/activate'"

    seen = SEEN[name]
    group = ("begin; ", "; end") if name == "fish" else ("{ ", "; }")
    look = f"{group[0]}{seen}{group[1]}"
    there_and_back = f"{source}; {source}; echo $AGD_ACTIVE; agd_deactivate"
    said = run(name, f"{look} > '{tmp_path}/before'; {there_and_back}; {look} > '{tmp_path}/after'")

    assert said == f"{FOLDER}\n"
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
    assert len((tmp_path / "before").read_text().splitlines()) > 5


def test_a_path_that_was_changed_meanwhile_loses_our_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "activate").write_text(activation.script("bash", FOLDER, WORDS))

    said = run(
        "bash", f"PATH=/usr/bin:/bin; source '{tmp_path}/activate'; PATH=/mine:$PATH; agd_deactivate; echo $PATH"
    )

    assert said == "/mine:/usr/bin:/bin\n"


def test_agd_is_found_and_an_older_completion_comes_back(tmp_path: Path) -> None:
    (tmp_path / "agd").write_text("#!/bin/sh\necho ours\n")
    (tmp_path / "agd").chmod(0o755)
    (tmp_path / "activate").write_text(activation.script("bash", str(tmp_path), WORDS))

    said = run(
        "bash", f"complete -W 'old words' agd; source '{tmp_path}/activate'; agd; agd_deactivate; complete -p agd"
    )

    assert said == "ours\ncomplete -W 'old words' agd\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [(["agd", "d"], ["deps", "doctor"]), (["agd", "deps", "g"], ["graph"]),
     (["agd", "deps", "graph", "--"], ["--json"]),
     (["agd", "--quiet", "deps", ""], ["graph", "verify", "--help"])],
)  # fmt: skip
def test_words_are_completed(tmp_path: Path, line: list[str], expected: list[str]) -> None:
    (tmp_path / "activate").write_text(activation.script("bash", FOLDER, WORDS))
    words = " ".join(f"'{word}'" for word in line)

    said = run(
        "bash",
        f"source '{tmp_path}/activate'; COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _agd_complete;"
        ' printf "%s\\n" "${COMPREPLY[@]}"',
    )

    assert said.split() == expected


def test_the_words_are_those_of_the_command_line() -> None:
    words = shell.completions()

    assert {"deps", "doctor", "generate", "models", "setup", "uninstall"} <= set(words["agd"])
    assert {"graph", "verify", "upgrade", "--help"} <= set(words["agd deps"])
    assert {"--project", "--json", "--svg"} <= set(words["agd deps graph"])
    for name in activation.SHELLS:
        text = activation.script(name, "/srv/agd", words)
        assert "@" not in "".join(line for line in text.splitlines() if "@FOLDER@" in line or "@CASES@" in line)
        assert "agd_deactivate" in text


def test_what_cannot_be_activated() -> None:
    with pytest.raises(UsageError, match="'tcsh' is not a shell that is known") as caught:
        activation.script("tcsh", "/x", {})
    assert "bash, zsh, fish, powershell" in caught.value.hint
    with pytest.raises(UsageError, match="cannot stand in PATH"):
        activation.script("bash", "/a:b", {})
