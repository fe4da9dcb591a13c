"""Documents: bytes outside a hole never change, wherever it is; places that do not exist are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.codegen.document import MARKER, Document, Place, parse_place
from agentic_diffusion.foundation.errors import UsageError

BOM = b"\xef\xbb\xbf"
law = settings(deadline=None, max_examples=60)
lines = st.lists(
    st.sampled_from(["def f(x):", "\treturn x  ", "", "    y = 'é数'", "  ", "// 🙂", "a\u2028b", "x\ry"]),
    min_size=1,
    max_size=7,
)
breaks = st.lists(st.sampled_from(["\n", "\r\n"]), min_size=7, max_size=7)


@st.composite
def documents(draw) -> bytes:
    parts, ends = draw(lines), draw(breaks)
    text = "".join(part + end for part, end in zip(parts, ends, strict=False))
    return (BOM if draw(st.booleans()) else b"") + (text.rstrip("\r\n") if draw(st.booleans()) else text).encode()


@law
@given(documents())
def test_a_document_gives_its_bytes_back(data):
    assert Document.decode(data, "f.py").encode() == data


@law
@given(documents(), st.data(), st.sampled_from(["", "z", "z = 1\n", "if z:\n    w()\n"]))
def test_bytes_outside_the_hole_are_unchanged_wherever_it_is(data, drawn, filling):
    document = Document.decode(data, "f.py")
    rows = document.text.split("\n")
    width = [len(row) - (row.endswith("\r") and number < len(rows) - 1) for number, row in enumerate(rows)]
    number = drawn.draw(st.integers(1, len(rows)))
    column = drawn.draw(st.none() | st.integers(1, width[number - 1] + 1))
    first = Place(line=number, column=column)
    if drawn.draw(st.booleans()):
        holed = document.at(first)
    else:
        last = drawn.draw(st.integers(number, len(rows)))
        end = drawn.draw(st.none() | st.integers(column or 1, width[last - 1] + 1)) if last == number else None
        if column is None and end is not None:
            end = None
        holed = document.between(first, Place(line=last, column=end))
    [(begin, end)] = holed.holes
    mark = BOM if document.bom else b""
    before, after = mark + document.text[:begin].encode(), document.text[end:].encode()
    made = holed.filled([filling]).encode()
    assert made.startswith(before)
    assert made.endswith(after)
    inside = made[len(before) : len(made) - len(after)]
    assert inside.replace(b"\r\n", b"\n") == filling.encode()
    hole = holed.hole(0, "python")
    assert hole.prefix + hole.suffix == (document.text[:begin] + "|" + document.text[end:]).replace(
        "\r\n", "\n"
    ).replace("|", "", 1)


def test_line_breaks_of_a_filling_are_those_of_its_place():
    mixed = Document.decode(b"a\r\nb\nc", "f.py")
    assert mixed.at(Place(line=2, column=1)).filled(["x\n"]).encode() == b"a\r\nx\r\nb\nc"
    assert mixed.at(Place(line=3, column=1)).filled(["x\n"]).encode() == b"a\r\nb\nx\nc"
    assert mixed.at(Place(line=1)).filled(["x\n"]).encode() == b"x\r\na\r\nb\nc"


def test_several_holes_are_filled_from_left_to_right():
    document = Document.decode(f"a = {MARKER}\nb = {MARKER}\n".encode(), "f.py").at_markers()
    first = document.hole(0, "python")
    assert (first.prefix, first.suffix) == ("a = ", "\nb = \n")
    part = document.filled(["1"])
    assert len(part.holes) == 1
    assert part.hole(0, "python").prefix == "a = 1\nb = "
    assert document.filled(["1", "2"]).text == part.filled(["2"]).text == "a = 1\nb = 2\n"


@pytest.mark.parametrize(
    ("place", "prefix", "suffix", "whole", "ends_line"),
    [
        ("3", "def f():\n    a\n", "\n    return b\n", True, False),
        ("4", "def f():\n    a\n\n", "    return b\n", True, True),
        ("5", "def f():\n    a\n\n    return b\n", "", True, True),
        ("4:12", "def f():\n    a\n\n    return ", "b\n", False, False),
        ("4:5", "def f():\n    a\n\n    ", "return b\n", False, False),
        ("2:6", "def f():\n    a", "\n\n    return b\n", False, False),
    ],
)
def test_a_place_is_a_line_or_a_point_in_one(place, prefix, suffix, whole, ends_line):
    document = Document.decode(b"def f():\n    a\n\n    return b\n", "f.py").at(parse_place(place))
    hole = document.hole(0, "python")
    assert (hole.prefix, hole.suffix, hole.whole_lines, hole.ends_line) == (prefix, suffix, whole, ends_line)


def test_a_span_keeps_the_indentation_of_its_first_line():
    document = Document.decode(b"def f():\n    a\n    b\n    return c\n", "f.py")
    hole = document.between(Place(line=2), Place(line=3)).hole(0, "python")
    assert (hole.prefix, hole.suffix, hole.whole_lines) == ("def f():\n    ", "\n    return c\n", True)
    hole = document.between(Place(line=2, column=5), Place(line=2, column=6)).hole(0, "python")
    assert (hole.prefix, hole.suffix) == ("def f():\n    ", "\n    b\n    return c\n")


@pytest.mark.parametrize("text", ["", "0", "1:0", "-1", "1:2:3", "a", "1.5", " 1", "9999999999"])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(UsageError, match="is no place in a file"):
        parse_place(text)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda d: d.at(Place(line=4)), "f.py has no line 4: it has 2 lines."),
        (lambda d: d.at(Place(line=2, column=4)), "Line 2 of f.py has no column 4: it has 2 characters."),
        (lambda d: d.between(Place(line=2), Place(line=1)), "The hole ends at 1, before it begins at 2."),
        (
            lambda d: d.between(Place(line=1, column=3), Place(line=1, column=2)),
            "The hole ends at 1:2, before it begins at 1:3.",
        ),
        (lambda d: d.between(Place(line=1), Place(line=9)), "f.py has no line 9: it has 2 lines."),
        (lambda d: d.at_markers(), "There is no <FILL> in f.py, and no other place was named."),
    ],
)
def test_places_that_are_not_there_are_told(make, sentence):
    with pytest.raises(UsageError) as caught:
        make(Document.decode(b"a = 1\nbc\n", "f.py"))
    assert caught.value.message == sentence


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"f\.py is not UTF-8 text \(byte 2\)"):
        Document.decode(b"a \xff", "f.py")
    with pytest.raises(UsageError, match="holds a NUL character"):
        Document.decode(b"a\0", "f.py")
    with pytest.raises(UsageError, match="is larger than"):
        Document.decode(b"a" * 4_000_001, "f.py")
    with pytest.raises(UsageError, match=r"none\.py cannot be read: No such file or directory"):
        Document.read(tmp_path / "none.py")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        Document.read(tmp_path)
