"""Agentic Diffusion: diffusion models that write, fill in and repair code under test, and learn from the tests.

The public names, sorted. Each is imported when it is first used, so that importing the package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentic_diffusion.codegen.generator import generate
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.codegen.result import GenerationResult
    from agentic_diffusion.foundation.errors import AgdError, ExitCode

    __version__: str

_HOMES = {
    "AgdError": "agentic_diffusion.foundation.errors",
    "ExitCode": "agentic_diffusion.foundation.errors",
    "GenerationRequest": "agentic_diffusion.codegen.request",
    "GenerationResult": "agentic_diffusion.codegen.result",
    "generate": "agentic_diffusion.codegen.generator",
}
__all__ = ["AgdError", "ExitCode", "GenerationRequest", "GenerationResult", "__version__", "generate"]


def __getattr__(name: str) -> Any:
    value: object
    if name == "__version__":
        from importlib.metadata import version

        value = version("agentic-diffusion")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
