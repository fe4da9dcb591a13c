"""Graphs of locks: chains, circles, what goes with a package; laws against a plain computation."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ET

import pytest
from small_locks import lock_of

from agentic_diffusion.packages import graph, picture
from agentic_diffusion.packages.project import Project
from agentic_diffusion.packages.wheels import Machine

DIAMOND = {"me": ["a", "b"], "a": ["c"], "b": ["c", "d"], "c": ["e"], "d": [], "e": []}


def any_needs(rng: random.Random) -> dict[str, list[str]]:
    names = [f"p{number}" for number in range(rng.randint(1, 7))]
    return {name: rng.sample(names, rng.randint(0, min(4, len(names)))) for name in names}


def test_why_and_who() -> None:
    made = graph.build(lock_of(DIAMOND))

    assert made.why("e==1") == [["me==1", "a==1", "c==1", "e==1"]]
    assert made.why("c==1") == [["me==1", "a==1", "c==1"], ["me==1", "b==1", "c==1"]]
    assert made.why("me==1") == [["me==1"]]
    assert made.dependents("e==1") == {"c==1", "a==1", "b==1", "me==1"}
    assert made.only_through("c==1") == {"c==1", "e==1"}
    assert made.only_through("b==1") == {"b==1", "d==1"}, "c stays: a needs it"
    assert made.cycles() == []


def test_sizes_of_subtrees() -> None:
    sizes = graph.sizes(graph.build(lock_of(DIAMOND)), Machine())

    assert sizes["b==1"] == {"own": 100, "subtree": 400, "freed": 200}
    assert sizes["me==1"] == {"own": 0, "subtree": 500, "freed": 500}


def test_circles_and_several_versions() -> None:
    made = graph.build(
        lock_of({"me": ["a", "x@1", "b"], "a": ["b"], "b": ["c"], "c": ["a", "x@2"], "x@1": [], "x@2": []})
    )

    assert made.cycles() == [["a==1", "b==1", "c==1"]]
    assert made.duplicates() == {"x": ["1", "2"]}


@pytest.mark.parametrize("seed", range(40))
def test_laws_of_any_graph(seed: int) -> None:
    needs = any_needs(random.Random(seed))
    made = graph.build(lock_of(needs))

    reached = {"p0"}
    while True:
        more = reached | {child for name in reached for child in needs[name]}
        if more == reached:
            break
        reached = more
    assert set(made.packages) == {f"{name}==1" for name in reached}
    for key in made.packages:
        for chain in made.why(key):
            assert chain[0] == "p0==1"
            assert chain[-1] == key
            assert all(two in made.children[one] for one, two in itertools.pairwise(chain))
        left = set(made.packages) - made.only_through(key)
        assert key not in left
        assert all(any(parent in left for parent in made.parents[one]) for one in left - {"p0==1"})
    circled = {key for cycle in made.cycles() for key in cycle}
    for key in made.packages:
        assert (key in circled) == any(key in made.reach([child]) for child in made.children.get(key, ()))
    ET.fromstring(picture.draw(made))


def test_extras_groups_and_markers_are_followed_where_they_are_asked_for(project: Project) -> None:
    lock = project.locked()

    whole = graph.build(lock)
    assert set(whole.packages) == {package.key for package in lock.packages}
    by = {(edge.parent, edge.child): edge for edge in whole.edges}
    assert by["pear==1.0", "apple==1.0"].via == "extra core"
    assert by["mine==1.0", "plum==1.0"].via == "group dev"
    assert set(graph.build(lock, groups=False).packages) == set(whole.packages) - {"plum==1.0"}
    on_mac = graph.build(lock, machine=Machine(system="darwin", machine="arm64"))
    assert "pear==1.0" not in on_mac.packages


def test_the_wheel_that_fits_best_is_the_one_that_counts() -> None:
    from agentic_diffusion.packages.lockfile import Artifact, Package

    tags = ("py3-none-any", "cp311-abi3-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_x86_64",
            "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64")  # fmt: skip
    names = [f"x-1-{tag}.whl" for tag in tags]
    files = tuple(Artifact(file=name, url=name, hash="sha256:0", size=1) for name in names)
    package = Package(name="x", version="1", source="registry", place="", wheels=files)

    def chosen(machine: Machine) -> str:
        found = graph.download(package, machine)
        return found.file if found else ""

    assert chosen(Machine()) == names[2]
    assert chosen(Machine(glibc=(2, 17))) == names[3]
    assert chosen(Machine(python=(3, 12))) == names[1]
    assert chosen(Machine(system="win32")) == names[4]
    assert chosen(Machine(system="darwin", machine="arm64")) == names[0]


def test_the_picture_shows_each_package_once_right_of_all_that_need_it() -> None:
    made = graph.build(lock_of({"me": ["a", "x@1"], "a": ["b", "x@2"], "b": ["a"], "x@1": [], "x@2": []}))

    depths = picture.depths(made)
    assert depths == {"me==1": 0, "a==1": 1, "b==1": 1, "x==1": 1, "x==2": 2}
    drawn = ET.fromstring(picture.draw(made, graph.sizes(made, Machine())))
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(text for text in texts if text and " 1" in text) == ["a 1", "b 1", "me 1", "x 1"]
    red = [box for box in drawn.iter("{http://www.w3.org/2000/svg}rect") if box.get("stroke") == "#dc2626"]
    assert len(red) == 2, "both versions of x are marked"
    assert picture.draw(made) == picture.draw(made)
