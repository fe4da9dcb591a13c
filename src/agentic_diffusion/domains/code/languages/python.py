"""Python, read with the standard library's own parser.

`extract` never repairs code: it only leaves out what is not code, so a broken function stays broken and can be told so.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from agentic_diffusion.domains.code.languages.language import ParseProblem

SIZE_LIMIT = 1_000_000
"""Characters of a program that is still looked at."""
_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.DOTALL | re.MULTILINE
)
_CODE_START = re.compile(r"(?:async def |def |class |import |from \w[\w.]* import |@\w)")
_STATEMENT = re.compile(
    r"(?:async|def|class|import|from|if|elif|else|for|while|try|except|finally|with|return|raise|assert|match|@)\b|@"
)
_DEF = re.compile(r"^[ \t]*((?:async )?def\s+\w+\s*\(.*?\)(?:\s*->\s*[^:\n]+)?)\s*:", re.DOTALL | re.MULTILINE)
_SPOKEN = re.compile(r"\b(?:function|method|def)\s+(?:called\s+|named\s+)?[`'\"]?(\w+)[`'\"]?\s*(\([^()\n]*\))")


class Python:
    """The language Python."""

    name = "python"
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
        blocks = _FENCE.findall(text)
        named = [body for label, body in blocks if label.lower() in self.fences]
        others = [body for label, body in blocks if not label]
        for body in (*named, *others):
            program = self._without_prose(textwrap.dedent(body))
            if self.parse_error(program) is None and _defines(program):
                return program
        body = (named or others or [text])[0]
        return self._without_prose(textwrap.dedent(body))

    def signature(self, text: str) -> str | None:
        """`def name(arguments)` out of a program, or out of words such as "a function name(arguments)"."""
        written = _DEF.search(text)
        if written:
            return " ".join(written[1].split())
        spoken = _SPOKEN.search(text)
        return f"def {spoken[1]}{spoken[2]}" if spoken and spoken[1].isidentifier() else None

    def _without_prose(self, text: str) -> str:
        """Cut prose before the first and after the last statement, then examples after the last definition."""
        lines = text.splitlines()
        first = next((index for index, line in enumerate(lines) if _CODE_START.match(line)), None)
        if first is None:
            return _ended(text)
        if self.parse_error("\n".join(lines)) is not None:
            lines = lines[first:]
        while (problem := self.parse_error("\n".join(lines))) is not None:
            head = _head_of(lines, min(problem.line, len(lines)))
            if head == 0 or _STATEMENT.match(lines[head]):
                return _ended("\n".join(lines))  # broken code, not prose: left as it is
            lines = lines[:head]
        return _ended(_without_examples("\n".join(lines)))


PYTHON = Python()
"""The one object that the entry point names."""


def _ended(text: str) -> str:
    """One newline at the end, no blank lines around; "" stays ""."""
    text = text.strip("\n").rstrip()
    return text + "\n" if text.strip() else ""


def _head_of(lines: list[str], number: int) -> int:
    """Index of the unindented line to which line `number` (from 1) belongs."""
    index = number - 1
    while index > 0 and (not lines[index].strip() or lines[index][0].isspace()):
        index -= 1
    return index


def _defines(source: str) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in _body(source))


def _body(source: str) -> list[ast.stmt]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source).body


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


def _binds(node: ast.stmt) -> set[str]:
    """The plain names that an assignment at the top binds."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return set()
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
