"""TypeScript, read with tree-sitter, checked and made JavaScript by one run of tsc a batch, then run as JavaScript is.

A type error does not keep a program from running; it is told beside a case that fails, as evidence of where to mend.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import tree_sitter_typescript

from agentic_diffusion.domains.code.languages.ecmascript import EcmaScript
from agentic_diffusion.domains.code.languages.ecmascript_harness import EcmaTests
from agentic_diffusion.domains.code.languages.harness import Worker
from agentic_diffusion.domains.code.languages.javascript import JAVASCRIPT, WORKERS
from agentic_diffusion.foundation.sandbox.base import MIB
from agentic_diffusion.installer import toolchains

FILES = ("typescript.cjs", "typescript_shims.txt")
RESIDENT = 512 * MIB
"""What node and tsc keep in memory."""


class TypeScript(EcmaScript):
    """The language TypeScript."""

    name = "typescript"
    title = "TypeScript"
    endings: tuple[str, ...] = (".ts", ".mts", ".cts")
    fences = ("typescript", "ts", "tsx")
    candidate_file = "solution.ts"
    command: tuple[str, ...] = ("node", "--experimental-strip-types", "--no-warnings")
    tools: tuple[str, ...] = ("node", "tsc")
    pointer = staticmethod(tree_sitter_typescript.language_typescript)

    @cached_property
    def harness(self) -> TypeScriptTests:
        """Its tests."""
        return TypeScriptTests(self)


class TypeScriptTests(EcmaTests):
    """Tests in TypeScript."""

    def worker(self) -> Worker:
        """The worker; SetupError when there is no node or no tsc."""
        tsc = toolchains.require("tsc")
        base = JAVASCRIPT.harness.worker()
        return replace(
            base,
            argv=(*base.argv, FILES[0], str(tsc.program)),
            files={**base.files, **{name: (WORKERS / name).read_bytes() for name in FILES}},
            read_only=(*base.read_only, *tsc.read_only),
            env={**base.env, **tsc.env},
            memory_bytes=RESIDENT,
        )


TYPESCRIPT = TypeScript()
"""The one object that the entry point names."""
