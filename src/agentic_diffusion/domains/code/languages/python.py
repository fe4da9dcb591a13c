"""Python, read with the standard library's own parser.

`extract` never repairs code: it only leaves out what is not code, so a broken function stays broken and can be told so.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from typing import TYPE_CHECKING, Literal

from agentic_diffusion.domains.code.languages import answers
from agentic_diffusion.domains.code.languages.language import ParseProblem

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.languages.harness import Harness

SIZE_LIMIT = 1_000_000
"""Characters of a program that is still looked at."""
_CODE_START = re.compile(r"(?:async def |def |class |import |from \w[\w.]* import |@\w)")
_STATEMENT = re.compile(
    r"(?:async|def|class|import|from|if|elif|else|for|while|try|except|finally|with|return|raise|assert|match|@)\b|@"
)
_DEF = re.compile(r"^[ \t]*((?:async )?def\s+\w+\s*\(.*?\)(?:\s*->\s*[^:\n]+)?)\s*:", re.DOTALL | re.MULTILINE)
_HOMES = {
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque"), "collections"),
    **dict.fromkeys(("combinations", "permutations", "product", "chain", "groupby", "accumulate"), "itertools"),
    **dict.fromkeys(("reduce", "lru_cache"), "functools"),
    **dict.fromkeys(("sqrt", "ceil", "floor", "gcd", "factorial"), "math"),
    **dict.fromkeys(("List", "Dict", "Tuple", "Set", "Optional", "Union", "Any"), "typing"),
}
"""Names that programs use as if they were built in, and the modules they come from."""
_SPOKEN = re.compile(r"\b(?:function|method|def)\s+(?:called\s+|named\s+)?[`'\"]?(\w+)[`'\"]?\s*(\([^()\n]*\))")


class Python:
    """The language Python."""

    name = "python"
    title = "Python"
    tools: tuple[str, ...] = ()
    body_ends: Literal["dedent", "brace"] = "dedent"
    harness: Harness | None = None
    endings = (".py",)
    fences = ("python", "py", "python3")
    candidate_file = "solution.py"
    command = ("python", "-I", "-S")

    def parse_error(self, source: str) -> ParseProblem | None:
        """The first reason why `source` is no valid program, found by compiling it (never by running it)."""
        if len(source) > SIZE_LIMIT:
            return ParseProblem(line=1, column=1, message=f"the program is longer than {SIZE_LIMIT} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "\d" in a plain string and the like are not errors
                compile(source, self.candidate_file, "exec", dont_inherit=True)
        except SyntaxError as error:
            return ParseProblem(line=error.lineno or 1, column=max(1, error.offset or 1), message=error.msg)
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return ParseProblem(line=1, column=1, message=str(error) or "the program is nested too deeply")
        return None

    def extract(self, text: str) -> str:
        """The program inside a model's answer; see `Language.extract`."""
        return answers.extract(
            self, text, opens=_CODE_START.match, is_code=_STATEMENT.match, defines=_defines, trimmed=_without_examples
        )

    def with_imports(self, source: str) -> str:
        """Add `import m` for standard modules used as `m.name`, and imports of a few well-known names; see `Language`.

        An answer that opens with `def name(` has no place for imports. Nothing is guessed: only names that are used and
        bound nowhere in the program are looked at.
        """
        if self.parse_error(source) is not None:
            return source
        tree = _parsed(source)
        bound = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        bound |= {
            n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
        modules = {node.value.id for node in used if isinstance(node.value, ast.Name)} & sys.stdlib_module_names
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        lines = [f"import {module}" for module in sorted(modules - bound)]
        lines += [f"from {_HOMES[name]} import {name}" for name in sorted((names & _HOMES.keys()) - bound)]
        return "\n".join(lines) + "\n\n" + source if lines else source

    def signature(self, text: str) -> str | None:
        """`def name(arguments)` out of a program, or out of words such as "a function name(arguments)"."""
        written = _DEF.search(text)
        if written:
            return " ".join(written[1].split())
        spoken = _SPOKEN.search(text)
        return f"def {spoken[1]}{spoken[2]}" if spoken and spoken[1].isidentifier() else None

    def opening(self, name: str) -> str:
        """`def name(`."""
        return f"def {name}("


PYTHON = Python()
"""The one object that the entry point names."""


def _defines(source: str) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in _body(source))


def _body(source: str) -> list[ast.stmt]:
    return _parsed(source).body


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _without_examples(source: str) -> str:
    """Leave out what follows the last definition, but for imports and values that a definition reads."""
    body = _body(source)
    definitions = [
        index
        for index, node in enumerate(body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    if not definitions:
        return source
    last = definitions[-1]
    read = {
        name.id
        for index in definitions
        for name in ast.walk(body[index])
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)
    }
    lines = source.splitlines()
    kept = lines[: body[last].end_lineno]
    for node in body[last + 1 :]:
        if isinstance(node, ast.Import | ast.ImportFrom) or _binds(node) & read:
            kept += ["", *lines[node.lineno - 1 : node.end_lineno]]
    return "\n".join(kept)


def _bound_anywhere(nodes: list[ast.AST]) -> set[str]:
    """All names that some statement of a program binds, in whatever scope."""
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return bound


def _binds(node: ast.stmt) -> set[str]:
    """The plain names that an assignment at the top binds."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return set()
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
