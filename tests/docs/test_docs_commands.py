"""Commands and flags that the docs mention exist, and every help page works."""

import itertools
import re
import shlex

import pytest
from docs_pages import PAGES, ROOT, blocks, name, prose, script

from agentic_diffusion.cli import app as shell
from agentic_diffusion.installer import commands, launch, layout

reference = script("docs/make_reference.py")
COMMANDS = list(reference.command_names())
FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-n)\b")
CODE = re.compile(r"`([^`\n]+)`")
LAUNCHER_FRONT = {"--offline"}
MAIN = (
    './agd generate "Write a function even_square_sum(numbers) that returns the sum of the squares of the even numbers"'
    " --tests examples/even_square_sum_test.py"
)
TESTS = "./agd dev test"


def flags(text: str) -> set[str]:
    return set(FLAG.findall(text))


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, ...], set[str]]:
    """Command -> the flags that its help shows."""
    return {words: flags(reference.help_page(words)) | {"--help"} for words in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "agd")
def test_help_page(words):
    page = reference.help_page(words)
    assert page.startswith(f"Usage: agd {' '.join(words)}".rstrip())
    assert "Traceback" not in page


def spoken(page) -> list[list[str]]:
    """Every command line that begins with agd on a page, as words without the first."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += CODE.findall(prose(page))
    return [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"(?:\./)?agd\s", line)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_on_the_page_exist_with_their_flags(page, known, capsys):
    for line in spoken(page):
        _, words = launch.split_bundle(line)
        front = list(itertools.takewhile(lambda word: word.startswith("-"), words))
        rest = words[len(front) :]
        allowed = known[()] | LAUNCHER_FRONT
        assert set(front) <= allowed, (words, front)
        if rest[:2] == ["dev", "test"] or rest == ["..."] or not rest:
            continue
        path = max((names for names in known if tuple(rest[: len(names)]) == names), key=len)
        assert path, f"{name(page)}: there is no command {' '.join(words)}"
        own = set(known[path])
        if path[0] in ("setup", "uninstall"):
            with pytest.raises(SystemExit):
                {"setup": commands.setup_command, "uninstall": commands.uninstall_command}[path[0]](
                    layout.checkout(ROOT), ["--help"]
                )
            own |= flags(capsys.readouterr().out)
        given = {word for word in rest if FLAG.fullmatch(word)}
        assert given <= own, f"{name(page)}: agd {' '.join(path)} has no {given - own}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scripts_on_the_page_exist_with_their_flags(page):
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for place, word in enumerate(words):
                if word.endswith(".py") and "/" in word and words[place - 1].endswith("python"):
                    source = (ROOT / word).read_text(encoding="utf-8")
                    given = {flag for flag in words[place:] if FLAG.fullmatch(flag)}
                    assert {flag for flag in given if f'"{flag}"' not in source} == set(), line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_flag_in_running_text_exists_somewhere(page, known):
    everywhere = set.union(*known.values()) | LAUNCHER_FRONT | {"--dev", "--models"}
    for path in [*(ROOT / "docs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "runs").glob("*.py")]:
        everywhere |= flags(path.read_text(encoding="utf-8"))
    for code in CODE.findall(prose(page)):
        if not code.startswith(("ruff", "mypy", "uv ", "apt")):
            assert flags(code) <= everywhere, f"{name(page)}: {code}"


def test_the_two_commands_of_the_readme_are_its_first():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("./agd ")][:2] == [MAIN, TESTS]


def test_the_justfile_calls_nothing_but_the_launcher(known):
    recipes = [line.strip() for line in (ROOT / "justfile").read_text(encoding="utf-8").splitlines() if line[:1] == " "]
    for line in recipes:
        words = line.split()
        assert words[0] == "./agd" or line == "@just --list"
        assert words[1] in {"dev", "--list", *(names[0] for names in known if names)}


def test_an_unknown_flag_is_refused(capsys):
    assert shell.main(["generate", "x", "--no-such-flag"]) == 2
    assert "--no-such-flag" in capsys.readouterr().err
