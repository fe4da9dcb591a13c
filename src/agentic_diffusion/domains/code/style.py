"""The style of a repository: what its programs do where the language leaves a choice.

A trait is a choice that programs make many times, such as quotes; a profile counts what was chosen. The distance of two
profiles is the mean total variation of the traits that both show, 1/2 sum |p(v) - q(v)|: 0 for the same habits, 1 for
opposite ones, symmetric, and 0 where they share no trait. Columns count characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tree_sitter import Node

from agentic_diffusion.domains.code.files import program_files, read_program
from agentic_diffusion.domains.code.languages.trees import text, walk
from agentic_diffusion.domains.code.metrics import is_documented
from agentic_diffusion.domains.code.syntax import Syntax, functions, syntax, variables
from agentic_diffusion.foundation.errors import UsageError

TRAITS = (
    "indentation",
    "quotes",
    "semicolons",
    "function names",
    "variable names",
    "documentation",
    "line length",
    "trailing commas",
    "type hints",
)
"""Everything that is looked at."""
CLEAR, ENOUGH = 0.8, 3
"""A habit is told to the model when it was seen this often, in this share of the cases."""
_WIDTHS = (80, 100, 120)
_QUOTED = re.compile(r"^[A-Za-z]{0,2}(['\"])(?!\1\1)")
_STATEMENTS = frozenset(
    "expression_statement return_statement lexical_declaration variable_declaration throw_statement".split()  # noqa: SIM905
)
_BRACKETS = frozenset(
    "argument_list arguments list dictionary set tuple parameters array object formal_parameters".split()  # noqa: SIM905
)
_WORDS = {
    ("indentation", "tab"): "tabs",
    ("quotes", "single"): "single quotes",
    ("quotes", "double"): "double quotes",
    ("semicolons", "yes"): "semicolons",
    ("semicolons", "no"): "no semicolons",
    ("documentation", "yes"): "a doc comment",
    ("trailing commas", "yes"): "trailing commas",
    ("type hints", "yes"): "type hints",
    ("type hints", "no"): "no type hints",
}


@dataclass(frozen=True, kw_only=True)
class StyleProfile:
    """What programs of one language chose, trait by trait."""

    language: str
    """Name of the language."""
    counts: Mapping[str, Counter[str]] = field(default_factory=dict)
    """How often each value of a trait was chosen; traits that never came up are left out."""

    def habit(self, trait: str) -> str | None:
        """The value that is chosen nearly always; None where there is no such habit."""
        seen = self.counts.get(trait, Counter())
        if seen.total() < ENOUGH:
            return None
        value, count = max(seen.items(), key=lambda item: (item[1], item[0]))
        return value if count >= CLEAR * seen.total() else None

    def sentence(self) -> str:
        """The habits in a line for a prompt: "Use 2 spaces, single quotes and camelCase names."; "" for none."""
        parts = [_spoken(trait, habit) for trait in TRAITS if (habit := self.habit(trait)) is not None]
        if self.habit("function names") == self.habit("variable names"):
            parts = list(dict.fromkeys(part.replace(" function names", " names") for part in parts))
            parts = [part for part in parts if not part.endswith(" variable names")]
        parts = [part for part in parts if part]
        if not parts:
            return ""
        return f"Use {' and '.join(filter(None, (', '.join(parts[:-1]), parts[-1])))}."


def profile(paths: Sequence[Path], language: str) -> StyleProfile:
    """The style of the programs at `paths` (files and folders) in one language.

    UsageError for a path that does not exist, where no such program is found, and for a language without a table.
    """
    if not paths:
        raise UsageError("There is no path to take a style from.", hint="give a folder with programs.")
    syntax(language)
    files = program_files(paths, language=language)
    return merged([style_of(read_program(path), language) for path, _ in files], language)


def merged(profiles: Iterable[StyleProfile], language: str) -> StyleProfile:
    """Several profiles as one."""
    counts: dict[str, Counter[str]] = {}
    for one in profiles:
        for trait, seen in one.counts.items():
            counts[trait] = counts.get(trait, Counter()) + seen
    return StyleProfile(language=language, counts=counts)


def style_of(source: str, language: str) -> StyleProfile:
    """The style of one program."""
    table = syntax(language)
    root = table.parse(source)
    found = {
        "indentation": _indentation(source),
        "line length": _lengths(source),
        "function names": Counter(filter(None, map(_case, _function_names(root, table)))),
        "variable names": Counter(filter(None, (_case(seen.name) for seen in variables(root, table) if seen.binds))),
        "documentation": Counter(_yes(is_documented(node, table)) for node in _named(root, table)),
    }
    if language in ("python", "javascript", "typescript"):
        found["quotes"] = _quotes(root, table)
        found["trailing commas"] = _trailing_commas(root)
    if language in ("javascript", "typescript"):
        statements = (node for node in walk(root) if node.type in _STATEMENTS)
        found["semicolons"] = Counter(_yes(text(node).endswith(";")) for node in statements)
    if language in ("python", "typescript"):
        found["type hints"] = _hints(root)
    return StyleProfile(language=language, counts={trait: seen for trait, seen in found.items() if seen})


def distance(wanted: StyleProfile, source: str) -> float:
    """How far a program is from a profile, in [0, 1]; see `apart`."""
    return apart(wanted, style_of(source, wanted.language))


def apart(one: StyleProfile, other: StyleProfile) -> float:
    """Mean total variation of the traits that both profiles show; 0 where they share none."""
    shared = one.counts.keys() & other.counts.keys()
    return sum(_variation(one.counts[trait], other.counts[trait]) for trait in sorted(shared)) / max(len(shared), 1)


def _variation(one: Counter[str], other: Counter[str]) -> float:
    values = one.keys() | other.keys()
    return sum(abs(one[value] / one.total() - other[value] / other.total()) for value in sorted(values)) / 2


def _spoken(trait: str, habit: str) -> str:
    if trait == "indentation" and habit.isdigit():
        return f"{habit} spaces"
    if trait in ("function names", "variable names"):
        return f"{ {'snake': 'snake_case', 'camel': 'camelCase', 'pascal': 'PascalCase'}[habit] } {trait}"
    return _WORDS.get((trait, habit), "")


def _indentation(source: str) -> Counter[str]:
    """By how much a line is indented further than the line before it, which ends in a colon or a brace."""
    found: Counter[str] = Counter()
    lines = [line for line in source.splitlines() if line.strip()]
    for before, line in pairwise(lines):
        outer, inner = before[: -len(before.lstrip())], line[: -len(line.lstrip())]
        if before.rstrip().endswith((":", "{")) and inner.startswith(outer) and inner != outer:
            step = inner[len(outer) :]
            found["tab" if step == "\t" else str(len(step)) if step.isspace() and "\t" not in step else "mixed"] += 1
    return found


def _lengths(source: str) -> Counter[str]:
    lengths = [len(line) for line in source.splitlines() if line.strip()]
    return Counter(next((f"up to {width}" for width in _WIDTHS if length <= width), "longer") for length in lengths)


def _case(name: str) -> str | None:
    """How a name of several words is written; None for one word, which shows nothing, and for constants."""
    core = name.strip("_$")
    if "_" in core:
        return "snake" if core == core.lower() else None
    if re.fullmatch(r"[a-z][a-z0-9]*(?:[A-Z][A-Za-z0-9]*)+", core):
        return "camel"
    return "pascal" if re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}", core) else None


def _named(root: Node, table: Syntax) -> list[Node]:
    return [node for node in functions(root, table) if node.child_by_field_name("name") is not None]


def _function_names(root: Node, table: Syntax) -> list[str]:
    return [text(name) for node in _named(root, table) if (name := node.child_by_field_name("name")) is not None]


def _quotes(root: Node, table: Syntax) -> Counter[str]:
    """The quotes of strings that hold no quotes themselves."""
    found: Counter[str] = Counter()
    for node in walk(root):
        opened = _QUOTED.match(text(node)) if node.type in table.strings else None
        if opened and text(node).count("'") + text(node).count('"') == 2:
            found["single" if opened[1] == "'" else "double"] += 1
    return found


def _trailing_commas(root: Node) -> Counter[str]:
    """Whether the last element before a closing bracket on a line of its own has a comma."""
    found: Counter[str] = Counter()
    for node in walk(root):
        if node.type in _BRACKETS and len(node.children) > 2:
            last, closing = node.children[-2], node.children[-1]
            if closing.start_point[0] > last.end_point[0]:
                found[_yes(last.type == ",")] += 1
    return found


def _hints(root: Node) -> Counter[str]:
    """Whether parameters have their types; `self` and `cls` are left out."""
    found: Counter[str] = Counter()
    for node in walk(root):
        if node.type in ("typed_parameter", "typed_default_parameter"):
            found["yes"] += 1
        elif node.type in ("required_parameter", "optional_parameter"):
            found[_yes(node.child_by_field_name("type") is not None)] += 1
        elif node.type in ("identifier", "default_parameter") and text(node) not in ("self", "cls"):
            found["no"] += node.parent is not None and node.parent.type == "parameters"
    return +found


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
