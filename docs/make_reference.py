"""Write the parts of the docs that the code itself says: settings, exit codes, the command line and the tree of files.

    python docs/make_reference.py            rewrite every block
    python docs/make_reference.py --check    exit 1 if a page differs from the code; change nothing

A block is `<!-- generated:NAME -->` ... `<!-- /generated -->`, NAME one of `BLOCKS`. Field docstrings are read from the
source of the settings, since Python keeps none of them.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from agentic_diffusion.cli import app as shell
from agentic_diffusion.foundation import errors, settings
from agentic_diffusion.foundation.resources import atomic_write

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- generated:(?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- /generated -->)", re.DOTALL)
LONGEST = 105
"""Characters of a file's comment in the tree."""
SECTIONS = (
    settings.GenerateSettings,
    settings.ModelSettings,
    settings.SandboxSettings,
    settings.PackagesSettings,
    settings.ServeSettings,
    settings.StoreSettings,
    settings.LogSettings,
)
COMMENTS = {
    "agd": "the launcher: a POSIX shell script that hands over to standard-library Python",
    "benchmarks": "one script a claim; results/ holds what they measured, fill_readme.py puts it into the docs",
    "CHANGELOG.md": "what changed, by release",
    ".ci/run": "what CI runs: Debian packages that tests use, then ./agd dev test",
    "CONTRIBUTING.md": "set-up, tests, house rules, how to add an extension",
    "docs": "guides, concepts with formulas, reference (generated), methods, log of what did not work",
    "examples": "prompts' tests to try",
    "justfile": "short names for the usual commands",
    "LICENSE": "Apache-2.0",
    "NOTICE": "the licence of the default model",
    "pyproject.toml": "metadata, dependencies, settings of the tools",
    "runs": "whole pipelines as scripts: the training of the shipped adapter",
    "SECURITY.md": "what the sandbox covers and what it does not",
    "tests": "mirrors src path by path; tests/docs holds the docs against the code",
    "uv.lock": "every package with version and hash; torch is not in it",
}
FOLDERS = {
    "adaptation": "the denoiser learns from its own rewarded samples, behind a gate",
    "cli": "the command line, one file a command group",
    "codegen": "from a prompt and its tests to a verified program",
    "diffusion": "the core: mathematics only; knows neither programs nor environments",
    "diffusion/backbones": "pretrained language models used as denoisers",
    "diffusion/weights": "what ships: adapter and maze planner, a card each",
    "domains": "the data domains; neither knows the other",
    "domains/code": "programs as token sequences",
    "domains/code/grammars": "what the constraint on generation knows of each language",
    "domains/code/languages": "programming languages, found as plug-ins",
    "domains/code/languages/workers": "the programs that run candidates inside the sandbox",
    "domains/trajectories": "states and actions of mazes",
    "evaluation": "benchmarks whose figures can be trusted",
    "evaluation/prompts": "the forms in which benchmark rows are put to the model",
    "foundation": "used by all, uses none; no torch",
    "foundation/sandbox": "run untrusted code with limits, one file a tier",
    "foundation/store": "the database of runs, metrics and samples",
    "foundation/store/migrations": "numbered changes of its tables",
    "installer": "from a bare Python to a ready environment; standard library only",
    "packages": "uv, locks, wheels, graphs; standard library only",
    "planning": "plans through mazes, denoised, tracked and rolled out",
    "serve": "the model behind an API, a page and tools",
    "serve/page": "the page that shows the denoising",
    "testing": "tests as data, run and judged in the sandbox",
}


def configuration() -> str:
    """One table a section: setting, default, environment variable, meaning."""
    described = _field_docstrings()
    parts = []
    for cls in SECTIONS:
        section = (cls.__doc__ or "").partition("]")[0].lstrip("[")
        about = (cls.__doc__ or "").partition(": ")[2]
        lines = [f"## [{section}]", "", f"{about[:1].upper()}{about[1:]}", ""]
        lines += ["| setting | default | environment | meaning |", "| --- | --- | --- | --- |"]
        for item in fields(cls):
            default = "none" if item.default is None else f"`{item.default}`" if item.default != "" else "empty"
            variable = f"AGD_{section}_{item.name}".upper()
            meaning = described[cls.__name__, item.name]
            lines.append(f"| `{section}.{item.name}` | {default} | `{variable}` | {meaning} |")
        parts.append("\n".join(lines) + "\n")
    return "\n" + "\n".join(parts)


def _field_docstrings() -> dict[tuple[str, str], str]:
    """(class, field) -> the string under the field, in one line."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    found = {}
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for before, after in zip(cls.body, cls.body[1:], strict=False):
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and _is_text(after):
                assert isinstance(after, ast.Expr)
                assert isinstance(after.value, ast.Constant)
                found[cls.name, before.target.id] = " ".join(str(after.value.value).split())
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def exit_codes() -> str:
    """The table of the docstring of `foundation.errors`, as Markdown."""
    rows = re.findall(r"^    (\d+) {2,}(\S.*)$", errors.__doc__ or "", re.MULTILINE)
    known = {int(code) for code in errors.ExitCode}
    if {int(code) for code, _ in rows} != known:
        raise SystemExit(f"the docstring of errors.py lists {rows}, the codes are {sorted(known)}")
    lines = ["| exit code | meaning |", "| --- | --- |", *(f"| {code} | {meaning} |" for code, meaning in rows)]
    return "\n".join(lines) + "\n"


def error_tree() -> str:
    """The exception tree as the docstring draws it."""
    tree = re.search(r"^    AgdError.*?(?=\n\n)", errors.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert tree is not None
    lines = "\n".join(line.removeprefix("    ") for line in tree[0].splitlines())
    return f"```text\n{lines}\n```\n"


def command_line() -> str:
    """The help page of every command, as `--help` prints it."""
    parts = []
    for words in command_names():
        parts.append(f"## agd {' '.join(words)}".rstrip() + f"\n\n```text\n{help_page(words)}```\n")
    return "\n" + "\n".join(parts)


def command_names() -> Iterator[tuple[str, ...]]:
    """Every command and sub-command, the empty one first."""
    yield ()
    for name in sorted(shell._COMMANDS):
        yield (name,)
        group = shell.app[name]
        for inner in sorted(word for word in group if not word.startswith("-")):
            yield (name, inner)


def help_page(words: tuple[str, ...]) -> str:
    """What `agd WORDS --help` prints, at a fixed width."""
    shown = io.StringIO()
    # A console of its own: the one that the command line keeps has the width of whoever asked for help first.
    shell.app.console = Console(file=shown, width=100)
    try:
        code = shell.main([*words, "--help"])
    finally:
        shell.app.console = None
    if code != 0:
        raise SystemExit(f"agd {' '.join(words)} --help ended with {code}")
    return "\n".join(line.rstrip() for line in shown.getvalue().strip("\n").splitlines()) + "\n"


def tree() -> str:
    """Every file of the package with the first sentence of its docstring, and every other place with a comment."""
    lines = ["src/agentic_diffusion/"]
    package = ROOT / "src" / "agentic_diffusion"
    lines += _branch(package, package, "  ")
    lines += [f"{name:<20}{COMMENTS[name]}" for name in sorted(COMMENTS, key=str.lower) if (ROOT / name).exists()]
    return "\n".join(["", "```text", *lines, "```", "", ""])


def _branch(folder: Path, package: Path, indent: str) -> Iterator[str]:
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        name = path.relative_to(package).as_posix()
        if path.is_dir() and path.name != "__pycache__":
            if name not in FOLDERS and not any(path.rglob("*.py")):
                continue  # sources in other languages: their folder's line stands for all of them
            yield f"{indent}{path.name + '/':<{38 - len(indent)}}{FOLDERS[name]}"
            yield from _branch(path, package, indent + "  ")
        elif path.suffix == ".py" and (comment := first_sentence(path)):
            yield f"{indent}{path.name:<{38 - len(indent)}}{comment}"
        elif path.suffix == ".toml":
            yield f"{indent}{path.name:<{38 - len(indent)}}{path.read_text(encoding='utf-8').splitlines()[0][2:]}"


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, cut at a colon or semicolon if it is long; empty without one."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = re.split(r"\.(?:\s|$)", " ".join(text.split("\n\n")[0].split()))[0].rstrip(":")
    return sentence if len(sentence) <= LONGEST else re.split(r"[:;] ", sentence)[0]


BLOCKS: dict[str, Callable[[], str]] = {
    "command-line": command_line,
    "configuration": configuration,
    "error-tree": error_tree,
    "exit-codes": exit_codes,
    "tree": tree,
}


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that hold generated blocks."""
    found = [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    return sorted(page for page in found if BLOCK.search(page.read_text(encoding="utf-8")))


def generated(text: str) -> str:
    """A page with its blocks as the code has them now."""
    return BLOCK.sub(lambda match: f"{match[1]}{BLOCKS[match['name']]()}{match[4]}", text)


def main() -> int:
    """Rewrite or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something would change")
    check = parser.parse_args().check
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = generated(text)
        if new != text:
            stale.append(page.relative_to(ROOT))
            if not check:
                atomic_write(page, new)
    for name in stale:
        sys.stderr.write(f"{name}: {'differs; run python docs/make_reference.py' if check else 'rewritten'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
