"""The journal goes on after any kind of end, and belongs to one run."""

from __future__ import annotations

import pytest

from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.foundation.errors import UsageError

RUN = {"mode": "ar", "seed": 0, "stops": (1, 2)}


def test_it_keeps_what_was_finished_and_drops_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "run.journal"
    journal = Journal(path, RUN)
    journal.add("a", {"x": 1})
    journal.add("b", {"x": 2})
    data = path.read_bytes()
    for cut in range(len(data) - 14, len(data)):
        path.write_bytes(data[:cut])
        again = Journal(path, RUN)
        assert again.done in ({"a": {"x": 1}}, {"a": {"x": 1}, "b": {"x": 2}})
        again.add("c", {"x": 3})
        assert Journal(path, RUN).done.keys() >= {"a", "c"}
    journal.close()
    assert not path.exists()


def test_another_runs_journal_is_refused(tmp_path):
    path = tmp_path / "run.journal"
    Journal(path, RUN)
    with pytest.raises(UsageError, match="is that of another run: mode, seed differ"):
        Journal(path, RUN | {"seed": 1, "mode": "verify"})
    path.write_text("nothing\n")
    with pytest.raises(UsageError, match="cannot be read"):
        Journal(path, RUN)


def test_without_a_path_nothing_is_written():
    journal = Journal(None, RUN)
    journal.add("a", {"x": 1})
    assert journal.done == {"a": {"x": 1}}
    journal.close()
