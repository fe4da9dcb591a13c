"""Run untrusted programs with limits: one file a tier, and each tier says what it covers and what it does not.

    choose(unsafe=False, only=None)   the best tier that passes its self-test here
    describe()                        one row a tier, for the doctor
    Limits, Completed                 what a program may use; how it ended
    Sandbox, SandboxProcess           the protocols

Names are loaded when first used: the warden, a small helper process, imports from this folder and must start quickly.
Standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentic_diffusion.foundation.sandbox.base import Completed, Limits, Sandbox, SandboxProcess
    from agentic_diffusion.foundation.sandbox.probe import choose, describe

_PLACES = {
    "Completed": "base",
    "Limits": "base",
    "Sandbox": "base",
    "SandboxProcess": "base",
    "choose": "probe",
    "describe": "probe",
}
__all__ = ["Completed", "Limits", "Sandbox", "SandboxProcess", "choose", "describe"]


def __getattr__(name: str) -> object:
    """Load a public name from its file."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
