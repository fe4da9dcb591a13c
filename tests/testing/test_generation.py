"""Generated tests: steady, worth it, readable, and never over a person's file."""

import subprocess
import sys

import pytest

from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.testing import generation, generation_properties
from agentic_diffusion.testing.generation import GenerationSettings, Proposal, Target
from agentic_diffusion.testing.generation_search import readable
from agentic_diffusion.testing.project import open_project

SOURCE = '''class TooSmall(ValueError):
    pass


def kind(a: int, b: int, c: int) -> str:
    """What kind of triangle it is."""
    if a <= 0 or b <= 0 or c <= 0:
        raise TooSmall(a)
    if a == b == c:
        return "equal"
    if a == 77:
        return "magic"
    return "other"


def encode(text: str) -> str:
    return text[::-1]


def decode(text: str) -> str:
    return text[::-1]


def tidy(numbers: list[int]) -> list[int]:
    return sorted(set(numbers))


class Counter:
    def __init__(self, start: int = 0):
        self.value = start

    def up(self, by: int = 1) -> int:
        self.value += by
        return self.value
'''


def target(root, function=None):
    return Target(project=open_project(root), path="shapes.py", module="shapes", function=function)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("generated")
    (root / "pytest.ini").write_text("")
    (root / "shapes.py").write_text(SOURCE)
    return root


@pytest.fixture(scope="module")
def found(root, sandbox):
    how = GenerationSettings(seconds=0.5)
    return generation.generate(target(root), ["search", "properties"], sandbox, how, file="test_shapes_generated.py")


def test_every_jump_is_reached_with_its_literal(found):
    body = "\n".join(line for one in found.kept for line in one.body)
    assert "with pytest.raises(TooSmall):" in body
    assert "kind(77, " in body
    assert "== 'magic'" in body
    assert "Counter(" in body


def test_properties_are_stated_and_said_to_be_such(found):
    names = {one.name for one in found.kept if not one.pins}
    assert {"test_encode_round_trip_with_decode", "test_tidy_is_idempotent"} <= names
    assert "test_tidy_does_not_depend_on_order" in names
    assert '"""Generated: checks a property."""' in found.source
    assert '"""Generated: pins what the function does now."""' in found.source


def test_the_file_passes_where_it_is_written(found, root):
    path = root / "test_shapes_generated.py"
    generation.deliver(path, found.source)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(found.kept)} passed" in done.stdout


def test_a_persons_file_is_not_overwritten(tmp_path):
    path = tmp_path / "test_a.py"
    path.write_text("def test_a():\n    pass\n")
    with pytest.raises(UsageError, match="is not overwritten"):
        generation.deliver(path, f"{generation.MARK}\n")
    path.write_text(f"{generation.MARK}\nold\n")
    generation.deliver(path, f"{generation.MARK}\nnew\n")
    assert path.read_text().endswith("new\n")


def proposal(name, *shows):
    return Proposal(name=name, body=("pass",), imports=(), pins=True, shows=frozenset(shows))


def test_kept_is_what_shows_something_of_its_own():
    kept, dropped = generation._worth_it([proposal("a", 1), proposal("b", 1, 2), proposal("c", 3), proposal("d")])
    assert [one.name for one in kept] == ["b", "c"]
    assert {name for name, _ in dropped} == {"a", "d"}


@pytest.mark.parametrize(
    ("function", "call", "told", "name"),
    [
        ("clamp", "clamp(5, 0, -3)", "is 3", "test_clamp_of_5_0_minus_3_is_3"),
        ("A.f", "A().f('', [1])", "raises ValueError", "test_a_f_of_empty_list_1_raises_value_error"),
        ("f", "f()", "is None", "test_f_of_nothing_is_none"),
    ],
)
def test_names_are_read_by_people(function, call, told, name):
    assert readable(function, call, told) == name


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [
        ("int", "st.integers(-1000, 1000)"),
        ("list[str]", "st.lists(st.text(max_size=20), max_size=8)"),
        ("int | None", "st.one_of(st.integers(-1000, 1000), st.none())"),
        ("tuple[int, bool]", "st.tuples(st.integers(-1000, 1000), st.booleans())"),
        ("Path", None),
        ("list[Path]", None),
    ],
)
def test_types_become_strategies(kind, drawn):
    assert generation_properties.drawing(kind) == drawn


def test_wrong_input_is_told_in_a_sentence(root, sandbox):
    with pytest.raises(ConfigError, match="finds nothing"):
        GenerationSettings(seconds=0)
    with pytest.raises(UsageError, match="There is no extension 'nope' among the test_strategies"):
        generation.generate(target(root), ["nope"], sandbox, file="test_x.py")
    with pytest.raises(UsageError, match=r"There is no function 'nope' in shapes\.py"):
        generation.generate(target(root, "nope"), ["search"], sandbox, file="test_x.py")
