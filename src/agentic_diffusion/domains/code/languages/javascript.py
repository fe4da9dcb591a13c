"""JavaScript, read with tree-sitter and run by Node.js: one worker process, a fresh context for each candidate."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import tree_sitter_javascript

from agentic_diffusion.domains.code.languages.ecmascript import EcmaScript
from agentic_diffusion.domains.code.languages.ecmascript_harness import EcmaTests
from agentic_diffusion.domains.code.languages.harness import Worker
from agentic_diffusion.foundation.sandbox.base import MIB
from agentic_diffusion.installer import toolchains

WORKERS = Path(__file__).parent / "workers"
FILES = ("javascript.cjs", "javascript_inside.js", "javascript_assert.js")
HEAP_MIB = 256
"""Heap of the worker, candidates' share included; what lies outside the heap is bounded by the sandbox."""
FLAGS = (
    f"--max-old-space-size={HEAP_MIB}",
    "--disallow-code-generation-from-strings",
    "--unhandled-rejections=none",
    "--no-warnings",
)
RESIDENT = 192 * MIB
"""What node itself keeps in memory."""
RESERVED = 4096 * MIB
"""Address space that V8 reserves and does not use."""


class JavaScript(EcmaScript):
    """The language JavaScript."""

    name = "javascript"
    title = "JavaScript"
    endings: tuple[str, ...] = (".js", ".mjs", ".cjs")
    fences = ("javascript", "js", "jsx", "mjs", "node")
    candidate_file = "solution.js"
    command: tuple[str, ...] = ("node",)
    tools: tuple[str, ...] = ("node",)
    pointer = staticmethod(tree_sitter_javascript.language)

    @cached_property
    def harness(self) -> JavaScriptTests:
        """Its tests."""
        return JavaScriptTests(self)


class JavaScriptTests(EcmaTests):
    """Tests in JavaScript."""

    def worker(self) -> Worker:
        """The worker; SetupError when there is no node."""
        node = toolchains.require("node")
        return Worker(
            argv=(str(node.program), *FLAGS, FILES[0]),
            files={name: (WORKERS / name).read_bytes() for name in FILES},
            read_only=node.read_only,
            env=node.env,
            memory_bytes=RESIDENT,
            reserved_bytes=RESERVED,
            processes=64,
        )


JAVASCRIPT = JavaScript()
"""The one object that the entry point names."""
