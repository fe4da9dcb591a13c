"""Prompt forms: those that ship fit every task, others are refused with a sentence."""

from __future__ import annotations

import hashlib

import pytest
from own_rows import ROWS

from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.evaluation.loaders import FORMATS, load
from agentic_diffusion.evaluation.prompt_form import FOLDER, form_for, load_form
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import stock_tokenizer


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_form_ships_for_every_format_and_puts_its_task(form, write):
    task = load(write(ROWS[form])).tasks[0]
    shipped = form_for(form)
    request = shipped.request_for(task)
    assert task.text.split("\n")[0] in request or task.faulty.strip() in request
    assert "{" not in request.replace(task.text, "")
    prompt = shipped.prompt_for(task, CodeTokenizer(stock_tokenizer()))
    assert prompt.opening == (task.prefix.rstrip() if form != "exercism" else "")


def test_mbpp_shows_words_head_and_first_assertion(write):
    task = load(write(ROWS["mbpp"])).tasks[0]
    assert form_for("mbpp").request_for(task) == (
        "Write a function to add one to a number.\ndef plus_one(n):\n"
        "Your code should pass this test:\nassert plus_one(1) == 2"
    )


def test_forms_are_known_by_their_bytes(tmp_path):
    for path in FOLDER.glob("*.toml"):
        form = load_form(path.stem)
        assert (form.name, form.checksum) == (path.stem, hashlib.sha256(path.read_bytes()).hexdigest())
    own = tmp_path / "own.toml"
    own.write_bytes((FOLDER / "function.toml").read_bytes() + b"# other bytes\n")
    assert load_form(own).checksum != load_form("function").checksum


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "is no TOML"),
        ('name = "x"\n', "has the fields name"),
        ('name = "x"\nrequest = "{nothing}"\nrequest_without_example = ""\nopening = ""\n', "speaks of nothing"),
        ('name = "x"\nrequest = "{"\nrequest_without_example = ""\nopening = ""\n', "has a wrong brace"),
        (
            'name = "x"\nrequest = "{}"\nrequest_without_example = ""\nopening = ""\n',
            "speaks of a field without a name",
        ),
        ('name = "x"\nrequest = 5\nrequest_without_example = ""\nopening = ""\n', "has the fields"),
    ],
)
def test_a_wrong_form_is_told(tmp_path, text, sentence):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_form(path)
    with pytest.raises(UsageError, match="no prompt form 'other'"):
        load_form("other")
