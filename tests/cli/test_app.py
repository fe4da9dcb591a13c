"""The shell of the command line: what it loads, how errors become sentences and exit codes."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import agentic_diffusion
from agentic_diffusion.cli import app as shell
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import NotVerifiedError

RUN = "import sys; from agentic_diffusion.cli.app import app, main\n"


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Nothing of this machine's configuration or records takes part."""
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AGD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    events.configure(style="human", level="warning", run_id="")


@pytest.fixture
def command():
    """Registers a function as the command `toy` for one test."""

    def register(function) -> None:
        shell.app.command(function, name="toy")

    yield register
    del shell.app["toy"]


def _modules_after(*words: str) -> list[str]:
    code = f"{RUN}main({list(words)!r}); sys.stderr.write('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stderr.splitlines()


def test_help_names_every_command_and_loads_none_of_them(capsys):
    assert shell.main(["--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for name, (_, text) in shell._COMMANDS.items():
        assert f"  {name}: {text}" in captured.out.splitlines()
    loaded = _modules_after("--help")
    assert {name.split(".")[0] for name in loaded} & {"torch", "numpy", "sqlalchemy", "transformers"} == set()
    ours = {name for name in loaded if name.startswith("agentic_diffusion.cli.")}
    assert ours == {"agentic_diffusion.cli.app"}


@pytest.mark.parametrize(("words", "loads"), [(["runs", "list", "--help"], False), (["runs", "list"], True)])
def test_the_database_is_loaded_by_the_command_and_not_by_its_help(words, loads):
    assert ("sqlalchemy" in _modules_after(*words)) is loads


def test_without_a_command_the_help_is_shown(capsys):
    assert shell.main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: agd COMMAND")


def test_the_version_is_the_packages(capsys):
    assert shell.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{agentic_diffusion.__version__}\n"


@pytest.mark.parametrize("name", shell._COMMANDS)
def test_every_command_resolves_to_what_help_says(name):
    target, text = shell._COMMANDS[name]
    if importlib.util.find_spec(target.split(":")[0]) is None:
        pytest.skip(f"{target} is not written yet")
    assert shell.app[name].name == (name,)
    assert shell.app[name].help == text


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["generat"], "There is no command 'generat' in `agd`.", "Did you mean generate?"),
        (["runs", "lst"], "There is no command 'lst' in `agd runs`.", "Did you mean list?"),
        (
            ["zzz"],
            "There is no command 'zzz' in `agd`.",
            f"Commands are: {', '.join(shell._COMMANDS)}.",
        ),
        (["runs", "list", "--limt", "3"], "Unknown option: --limt.", "Did you mean --limit?"),
        (
            ["runs", "list", "--limit", "many"],
            'Invalid value for --limit: unable to convert "many" into int.',
            "`agd runs list --help` shows what is allowed.",
        ),
        (
            ["config", "show", "it"],
            "'it' is one argument too many for `agd config show`.",
            "`agd config show --help` shows what is allowed.",
        ),
        (
            ["--log-style", "xml", "config", "show"],
            'Invalid value "xml" for --log-style. Choose from: "human", "json".',
            "`agd --help` shows what is allowed.",
        ),
        (
            ["runs", "show"],
            'Command "runs show" parameter --run requires an argument.',
            "`agd runs show --help` shows what is allowed.",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_sentence_and_a_hint(capsys, words, message, hint):
    assert shell.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {message}\nhint: {hint}\n"


def test_a_wrong_command_line_with_json_gets_one_object(capsys):
    assert shell.main(["runs", "lst", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {
        "error": "UsageError",
        "message": "There is no command 'lst' in `agd runs`.",
        "hint": "Did you mean list?",
        "exit_code": 2,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["toy", "--json"], True),
        (["--log-style", "json", "toy"], True),
        (["toy", "--log-style=json"], True),
        (["toy", "--", "--json"], False),
        (["toy", "--log-style", "human"], False),
    ],
)
def test_when_errors_are_json(words, expected):
    assert shell._wants_json(words) is expected


def test_an_error_of_a_command_keeps_its_exit_code(capsys, command):
    @command
    def _toy() -> None:
        raise NotVerifiedError("No candidate passed.", hint="Give more time.")

    assert shell.main(["toy"]) == 3
    assert capsys.readouterr().err == "error: No candidate passed.\nhint: Give more time.\n"


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(command, returned, code):
    command(lambda: returned)
    assert shell.main(["toy"]) == code


def test_the_common_flags_work_before_and_after_the_command(capsys, command):
    @command
    def _toy(word: str) -> None:
        events.say(f"said {word}")
        events.get_logger("toy").info("logged")

    assert shell.main(["--log-style", "json", "toy", "x", "--log-level", "info"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["said x", "logged"]
    assert len({line["run"] for line in lines}) == 1
    assert shell.main(["toy", "x", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert shell.main(["toy", "--", "--quiet"]) == 0
    assert capsys.readouterr().err == "said --quiet\n"


def test_logging_follows_the_configuration(capsys, command, monkeypatch):
    command(lambda: events.get_logger("toy").info("logged"))
    monkeypatch.setenv("AGD_LOG_LEVEL", "info")
    assert shell.main(["toy"]) == 0
    assert capsys.readouterr().err == "info toy: logged\n"
    monkeypatch.setenv("AGD_LOG_LEVEL", "loud")
    assert shell.main(["toy"]) == 2
    assert "log.level is 'loud'" in capsys.readouterr().err


def test_an_interrupt_is_130(capsys, command):
    @command
    def _toy() -> None:
        raise KeyboardInterrupt

    assert shell.main(["toy"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_ctrl_c_ends_the_process_with_130_and_no_trace():
    code = (
        f"{RUN}\n@app.command\ndef toy():\n import time\n print('ready', flush=True)\n time.sleep(60)\nsys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "toy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "\ninterrupted\n")


def test_a_missing_package_is_said(capsys, tmp_path, monkeypatch):
    (tmp_path / "toy_needs_more.py").write_text("import a_package_that_is_nowhere.inside\n")
    monkeypatch.syspath_prepend(tmp_path)
    shell.app.command("toy_needs_more:app", name="toy")
    try:
        assert shell.main(["toy"]) == 4
    finally:
        del shell.app["toy"]
    assert capsys.readouterr().err == (
        "error: The package a_package_that_is_nowhere is needed for this and is not installed.\n"
        "hint: Run `agd setup`.\n"
    )


def test_a_defect_is_never_a_negative_result(capsys, command):
    command(lambda: 1 // 0)
    assert shell.main(["toy"]) == 4
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert err.endswith("error: This is a defect of agd, not of your input.\nhint: Report it with the lines above.\n")


@pytest.mark.parametrize("words", [["config", "show"], ["--help"]])
def test_a_reader_that_goes_away_is_no_noise(words):
    code = f"{RUN}sys.stdin.read(); sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    process.stdin.close()  # only now does it begin
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), err) == (4, "")


def test_a_full_disk_below_stdout_is_said():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", f"{RUN}sys.exit(main())", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 4
    assert result.stderr == (
        "error: A disk is full: [Errno 28] No space left on device.\nhint: Free some space and try again.\n"
    )


def test_a_full_disk_inside_a_command_is_said(capsys, command):
    @command
    def _toy() -> None:
        with Path("/dev/full").open("w") as full:
            full.write("x")

    assert shell.main(["toy"]) == 4
    assert capsys.readouterr().err.startswith("error: A disk is full: [Errno 28] No space left on device")


def test_the_installed_entry_point_is_main():
    result = subprocess.run(
        [sys.executable, "-m", "agentic_diffusion", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{agentic_diffusion.__version__}\n"
