"""Packing: which slot every token has and what its query may look at, against the definition written out in Python."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.diffusion.block_packing import pack_block, pack_clean, pack_verify, segments

ragged = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=5)


def _seen(packing, token: int) -> set[int]:
    """The slots of its row that packed token `token` may look at."""
    queries = packing.allowed.flatten(0, 1)
    return set(queries[packing.padded[token]].nonzero()[:, 0].tolist())


@given(ragged)
def test_segments_are_the_runs_one_after_the_other(runs):
    start, length = (torch.tensor(column) for column in zip(*runs, strict=True))
    found = segments(start, length)
    expected = [(row, begin + i, i) for row, (begin, count) in enumerate(runs) for i in range(count)]
    columns = zip(found.rows.tolist(), found.positions.tolist(), found.offsets.tolist(), strict=True)
    assert list(columns) == expected


@given(ragged.filter(lambda runs: any(length for _, length in runs)))
def test_clean_tokens_see_the_past_and_themselves_also_where_rows_are_empty(runs):
    cached, length = (torch.tensor(column) for column in zip(*runs, strict=True))
    packing, clean = pack_clean(cached, length)
    assert packing.noised == 0
    assert packing.allowed.shape[0] == len(runs)
    assert packing.allowed.any(-1).all(), "a query that may see nothing would make NaN"
    for token, position in enumerate(clean.positions.tolist()):
        assert packing.slots[token] == packing.positions[token] == position
        assert _seen(packing, token) == set(range(position + 1))


@given(ragged, st.integers(2, 6))
def test_noised_tokens_see_the_text_and_their_block_and_clean_ones_only_the_past(runs, block):
    cached = torch.tensor([first for first, _ in runs])
    known = cached + torch.tensor([more for _, more in runs]) + 1
    packing, clean = pack_block(known, cached, block)
    rows, positions = packing.rows.tolist(), packing.positions.tolist()
    assert packing.noised == len(runs) * block
    assert positions == packing.slots.tolist()
    assert len(set(zip(rows, positions, strict=True))) == len(rows) == packing.noised + len(clean.rows)
    for token, (row, position) in enumerate(zip(rows, positions, strict=True)):
        if token < packing.noised:
            end = int(known[row]) + block - 1
            assert end - block <= position < end
            assert _seen(packing, token) == set(range(end))
        else:
            assert int(cached[row]) <= position < int(known[row]) - 1
            assert _seen(packing, token) == set(range(position + 1))


@given(ragged, st.integers(2, 5))
def test_a_branch_sees_the_text_before_it_and_itself_in_scratch_slots(runs, block):
    known = torch.tensor([first + 1 for first, _ in runs])
    drafts = torch.tensor([min(more, block - 1) for _, more in runs])
    scratch = int(known.max()) + block
    packing, noised, clean = pack_verify(known, drafts, block, scratch)
    assert packing.allowed.any(-1).all()
    written = list(zip(packing.rows.tolist(), packing.slots.tolist(), strict=True))
    assert len(set(written)) == len(written), "two tokens of a row share a slot"
    for token, (row, offset) in enumerate(zip(noised.rows.tolist(), noised.offsets.tolist(), strict=True)):
        branch, place = divmod(offset, block)
        first = int(known[row]) - 1 + branch
        assert packing.positions[token] == first + place
        own = {scratch + branch * block + i for i in range(block)}
        assert _seen(packing, token) == set(range(first)) | own
    for number, (row, position) in enumerate(zip(clean.rows.tolist(), clean.positions.tolist(), strict=True)):
        assert int(known[row]) - 1 <= position <= int(known[row]) - 1 + int(drafts[row])
        assert _seen(packing, packing.noised + number) == set(range(position + 1))
