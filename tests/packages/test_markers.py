"""Markers are read and decided as PEP 508 says."""

from __future__ import annotations

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.packages import markers
from agentic_diffusion.packages.wheels import Machine

LINUX = markers.environment(Machine(python=(3, 12)))
WINDOWS = markers.environment(Machine(python=(3, 11), system="win32"))


@pytest.mark.parametrize(
    ("marker", "here", "on_windows"),
    [
        ("", True, True),
        ("python_version >= '3.12'", True, False),
        ("python_full_version < '3.12'", False, True),
        ("'3.9' < python_version", True, True),
        ("python_version == '3.12.*'", True, False),
        ("python_version ~= '3.11'", True, True),
        ("python_version in '3.10 3.11'", False, True),
        ("sys_platform == 'linux' and (os_name == 'nt' or platform_machine == 'x86_64')", True, False),
        ("sys_platform == 'win32' or python_version != '3.12'", False, True),
        ('platform_machine not in "AMD64 arm64"', True, False),
        ("extra == 'fast' and sys_platform == 'linux'", False, False),
        # and binds more tightly than or
        ("os_name == 'posix' or os_name == 'nt' and python_version < '3'", True, False),
    ],
)
def test_what_holds(marker: str, here: bool, on_windows: bool) -> None:
    assert markers.holds(marker, LINUX) is here
    assert markers.holds(marker, WINDOWS) is on_windows


@pytest.mark.parametrize(
    "marker",
    ["python_version", "python_version <", "'a' == 'b'", "(os_name == 'nt'", "os_name == 'nt' and", "os_name # 'nt'",
     "colour == 'red'", "os_name == 'nt' os_name", "os_name not 'nt'"],
)  # fmt: skip
def test_what_cannot_be_read(marker: str) -> None:
    with pytest.raises(UsageError, match="marker"):
        markers.holds(marker, LINUX)
