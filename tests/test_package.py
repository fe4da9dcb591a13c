"""The public names of the package: sorted, lazy, and real."""

import importlib.util
import subprocess
import sys
from importlib.metadata import version

import pytest

import agentic_diffusion


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, agentic_diffusion; dir(agentic_diffusion);"
        "print(sorted({'torch', 'numpy', 'sqlalchemy', 'cyclopts', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_public_names_are_sorted_and_have_homes():
    assert agentic_diffusion.__all__ == sorted(agentic_diffusion.__all__)
    assert set(agentic_diffusion.__all__) == {*agentic_diffusion._HOMES, "__version__"}
    assert set(agentic_diffusion.__all__) <= set(dir(agentic_diffusion))


@pytest.mark.parametrize("name", agentic_diffusion._HOMES)
def test_each_public_name_resolves(name):
    home = agentic_diffusion._HOMES[name]
    if importlib.util.find_spec(home) is None:
        pytest.skip(f"{home} is not written yet")
    value = getattr(agentic_diffusion, name)
    assert value.__module__ == home
    assert getattr(agentic_diffusion, name) is value


def test_the_version_is_the_installed_one():
    assert agentic_diffusion.__version__ == version("agentic-diffusion")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'agentic_diffusion' has no attribute 'nothing'"):
        agentic_diffusion.__getattr__("nothing")
