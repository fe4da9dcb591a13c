"""Two locks are compared in words; a file that changed under its name is told first."""

from __future__ import annotations

from small_locks import lock_of

from agentic_diffusion.packages.lock_diff import diff

OLD = lock_of({"me": ["a", "b", "c"], "a@1.0": [], "b@2.0": ["c"], "c@1.0": []})


def test_the_same_is_no_difference() -> None:
    assert diff(OLD, OLD) == []


def test_everything_that_can_change() -> None:
    new = lock_of(
        {"me": ["a", "b", "d"], "a@1.1": ["d"], "b@1.9": ["c"], "c@1.0": [], "d@3": []}, hashes={"c@1.0": "b" * 64}
    )

    assert [change.words for change in diff(OLD, new)] == [
        "c-1.0-py3-none-any.whl has ANOTHER HASH though its name and version are the same",
        "d 3 is new",
        "a goes up from 1.0 to 1.1 (minor)",
        "b goes DOWN from 2.0 to 1.9 (major)",
        "a needs d now",
        "me needs d now and needs c no more",
    ]


def test_back_is_the_opposite() -> None:
    new = lock_of({"me": ["a", "b"], "a@2.0": [], "b@2.0": []})
    opposite = {
        "added": "removed",
        "removed": "added",
        "upgraded": "downgraded",
        "downgraded": "upgraded",
        "needs": "needs",
    }

    there = {(change.kind, change.name, change.old, change.new) for change in diff(OLD, new)}
    back = {(opposite[change.kind], change.name, change.new, change.old) for change in diff(new, OLD)}

    assert there == back
    assert ("removed", "c", "1.0", "") in there


def test_of_several_versions_each_is_followed() -> None:
    old = lock_of({"me": ["x@1", "x@2"], "x@1": [], "x@2": []})
    new = lock_of({"me": ["x@2", "x@3", "x@4"], "x@2": [], "x@3": [], "x@4": []})

    assert [change.words for change in diff(old, new)] == ["x 4 is new", "x goes up from 1 to 3 (major)"]
