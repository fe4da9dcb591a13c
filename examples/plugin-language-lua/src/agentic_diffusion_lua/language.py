"""The language Lua 5.4: parsed by Lua's own compiler, which the wheel `lupa` brings, and never run here.

Lines and columns count from 1.
"""

from __future__ import annotations

import re
from typing import Literal

from lupa.lua54 import LuaRuntime, LuaSyntaxError

from agentic_diffusion.domains.code.languages.harness import Harness
from agentic_diffusion.domains.code.languages.language import ParseProblem
from agentic_diffusion_lua.harness import LuaHarness

MEMORY = 64 << 20
"""Bytes that the compiler may use on a program."""
_FENCE = re.compile(r"^```[ \t]*(\w*)[^\n]*\n(.*?)(?:^```|\Z)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?:local\s+\w|function\s+[\w.:]+\s*\(|return\b|[A-Za-z_]\w*(?:\.\w+)*\s*=[^=]|--)")
_HEAD = re.compile(r"\bfunction\s+([A-Za-z_]\w*)\s*(\([^()\n]*\))")
_SPOKEN = re.compile(r"\bfunction\s+(?:called\s+|named\s+)?[`'\"]?([A-Za-z_]\w*)[`'\"]?\s*(\([^()\n]*\))")
_MESSAGE = re.compile(r'\[string "[^\n]*"\]:(\d+): (.*)', re.DOTALL)


class Lua:
    """The language Lua."""

    name = "lua"
    title = "Lua"
    endings = (".lua",)
    fences = ("lua",)
    candidate_file = "solution.lua"
    command = ("lua",)
    tools: tuple[str, ...] = ()
    body_ends: Literal["dedent", "brace", "fence"] = "fence"

    @property
    def harness(self) -> Harness:
        """Its tests."""
        return LuaHarness(self.parse_error)

    def parse_error(self, source: str) -> ParseProblem | None:
        """What Lua's compiler has against `source`; None when it compiles."""
        lua = LuaRuntime(register_eval=False, register_builtins=False, max_memory=MEMORY, encoding="utf-8")
        try:
            lua.compile(source)
        except LuaSyntaxError as error:
            found = _MESSAGE.match(str(error))
            line, message = (int(found[1]), found[2]) if found else (1, str(error))
            return ParseProblem(line=min(line, source.count("\n") + 1), column=1, message=message)
        except (MemoryError, UnicodeEncodeError) as error:
            return ParseProblem(line=1, column=1, message=str(error) or "the program is too large to compile")
        return None

    def extract(self, text: str) -> str:
        """The first code block that compiles and has a function, else the first one, else the text without prose."""
        blocks = _FENCE.findall(text)
        bodies = [body for label, body in blocks if label.lower() in self.fences]
        bodies += [body for label, body in blocks if not label]
        for body in bodies:
            if "function" in body and self.parse_error(body) is None:
                return _ended(body)
        return self._without_prose(bodies[0] if bodies else text)

    def with_imports(self, source: str) -> str:
        """`source` itself: Lua's standard library is there without imports."""
        return source

    def signature(self, text: str) -> str | None:
        """`function name(arguments)` out of a program, or out of words such as "a function name(arguments)"."""
        found = _HEAD.search(text) or _SPOKEN.search(text)
        return f"function {found[1]}{found[2]}" if found else None

    def opening(self, name: str) -> str:
        """`function name(`."""
        return f"function {name}("

    def _without_prose(self, text: str) -> str:
        """The longest run of lines from the first that looks like code that compiles; all of them when none does."""
        lines = text.strip("\n").split("\n")
        first = next((place for place, line in enumerate(lines) if _CODE.match(line)), None)
        if first is None or self.parse_error(text) is None:
            return _ended(text)
        for end in range(len(lines), first, -1):
            if self.parse_error("\n".join(lines[first:end])) is None:
                return _ended("\n".join(lines[first:end]))
        return _ended("\n".join(lines[first:]))


LUA = Lua()
"""The one object that the entry point names."""


def _ended(text: str) -> str:
    """One newline at the end, no blank lines around; "" stays ""."""
    text = text.strip("\n").rstrip()
    return f"{text}\n" if text.strip() else ""
