"""Loading benchmark files: every format by a row of our own, and what is wrong with a row by its line."""

from __future__ import annotations

import gzip
import json

import pytest
from own_rows import ROWS

from agentic_diffusion.evaluation.loaders import FORMATS, load
from agentic_diffusion.foundation import json_lines
from agentic_diffusion.foundation.errors import ResourceError, SetupError, UsageError
from agentic_diffusion.testing.suite import make_suite


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_is_known_by_its_fields_and_gives_a_task_with_tests(form, write):
    found = load(write(ROWS[form]))
    assert (found.format, found.language, found.left_out, len(found.checksum)) == (form, "python", (), 64)
    (task,) = found.tasks
    assert task.canonical
    assert make_suite(task.tests, origin=task.id).cases
    assert load(write(ROWS[form]), form=form) == found


def test_a_function_is_taken_apart(write):
    task = load(write(ROWS["humaneval"])).tasks[0]
    assert task.preamble == "from typing import List\n\n"
    assert task.prefix == "def halves(numbers: List[int]) -> List[int]:\n"
    assert task.text == "Halve each number."
    assert [call.expected for call in task.calls] == ["[2, 3]", "[]"]
    assert task.tests.splitlines() == [
        "from solution import halves",
        "assert halves([4, 6]) == [2, 3]",
        "assert halves([]) == []",
    ]


def test_mbpp_opens_with_the_head_of_the_function_and_shows_its_assertions(write):
    task = load(write(ROWS["mbpp"])).tasks[0]
    assert (task.id, task.prefix) == ("7", "def plus_one(n):\n")
    assert task.shown == tuple(ROWS["mbpp"]["test_list"])
    assert [call.arguments for call in task.calls] == ["1", "5", "9"]


def test_a_check_that_does_more_than_assert_is_called_as_it_is(write):
    test = "def check(candidate):\n    for n in range(3):\n        assert candidate([n]) == [n // 2]\n"
    task = load(write(ROWS["humaneval"] | {"test": test})).tasks[0]
    assert task.tests.endswith("check(halves)\n")
    assert task.calls == ()


def test_the_plus_benchmarks_bring_further_cases(write):
    plus = {key: value for key, value in ROWS["humaneval"].items() if key != "test"}
    task = load(write(plus | {"base_input": [[[2]]], "plus_input": [[[8, 9]]]}), form="humaneval").tasks[0]
    assert [(call.arguments, call.expected) for call in task.hidden] == [("[2]", ""), ("[8, 9]", "")]
    both = {"test": "inputs = [[[2]], [[4]]]\nresults = [[1], [2]]\nimport numpy\n"}
    task = load(write(ROWS["humaneval"] | both)).tasks[0]
    assert "assert halves([4]) == [2]" in task.tests
    assert "numpy" not in task.tests
    mbpp = {
        "task_id": "Mbpp/7", "prompt": '"""\nAdd one.\nassert plus_one(1) == 2\n"""\n', "entry_point": "plus_one",
        "canonical_solution": "\ndef plus_one(n):\n    return n + 1\n", "base_input": [[1]], "plus_input": [[-4]],
        "assertion": "assert plus_one(1) == 2",
    }  # fmt: skip
    task = load(write(mbpp)).tasks[0]
    assert (task.text, task.shown, len(task.hidden)) == ("Add one.", ("assert plus_one(1) == 2",), 2)


def test_repairs_show_the_fault_and_leave_slow_cases_and_closing_words_out(write):
    task = load(write(ROWS["quixbugs"])).tasks[0]
    assert (task.kind, task.prefix) == ("repair", "def total(items):\n")
    assert task.faulty == "def total(items):\n    return sum(items[1:])\n"
    assert task.canonical == "def total(items):\n    return sum(items)\n"
    assert task.text.startswith("Total")
    assert task.tests.splitlines()[1:] == ["assert total(*[[1, 2]]) == 3", "assert total(*[[]]) == 0"]
    graph = "from node import Node\n\n\ndef test1():\n    assert total([Node(2).value]) == 2\n"
    task = load(write(ROWS["quixbugs"] | {"json_tests": [], "pytest": graph})).tasks[0]
    assert [case.name for case in make_suite(task.tests, origin="own").cases] == ["test_1"]
    task = load(write(ROWS["humanevalfix"])).tasks[0]
    assert task.faulty.endswith("number // 3 for number in numbers]\n")


def test_an_exercise_imports_the_program_from_where_candidates_are_put(write):
    task = load(write(ROWS["exercism"])).tasks[0]
    assert "from solution import (" in task.tests
    assert task.id == "python/greet-all"
    whole = {"greet_all_test.py": "import greet_all\n\n\ndef test_a():\n    assert greet_all.greet('A') == 'Hello A'\n"}
    task = load(write(ROWS["exercism"] | {"test": whole})).tasks[0]
    assert task.tests.startswith("import solution as greet_all\n")
    several = ROWS["exercism"] | {"editor": {"other.py": "x = 1\n"}}
    found = load(write(several))
    assert (found.tasks, found.left_out[0][0]) == ((), "python/greet-all")


def test_a_solution_that_the_row_itself_calls_wrong_is_none(write):
    assert load(write(ROWS["mbxp"] | {"solution_passes": False})).tasks[0].canonical is None
    assert load(write(ROWS["mbxp"] | {"solution_passes": True})).tasks[0].canonical is not None


def test_a_hole_lies_between_its_prefix_and_suffix(write):
    task = load(write(ROWS["infilling"])).tasks[0]
    assert task.kind == "infill"
    assert task.canonical == task.prefix + "        found.append(number // 2)\n" + task.suffix


def test_gzip_is_known_by_its_bytes_and_a_limit_takes_the_first_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(ROWS["mbpp"] | {"task_id": number}) for number in range(5)]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n\n").encode()))
    assert [task.id for task in load(str(path)).tasks] == ["0", "1", "2", "3", "4"]
    assert [task.id for task in load(str(path), limit=2).tasks] == ["0", "1"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match="damaged gzip"):
        load(str(path))


def test_a_file_that_unpacks_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "SIZE_LIMIT", 1000)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 5000))
    with pytest.raises(ResourceError, match="unpacks to more than 1000 bytes"):
        load(str(path))


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ('{"task_id": 8, ', r"Line 2 of own\.jsonl is no JSON: "),
        ("[1, 2]", r"Line 2 of own\.jsonl is no JSON object"),
        ({"task_id": 8, "text": "x", "code": "def f(): pass"}, "Line 2 of own.jsonl: its field 'test_list' is missing"),
        (ROWS["mbpp"] | {"task_id": None}, "its field 'task_id' is missing or no name"),
        (ROWS["mbpp"] | {"code": 5}, "its field 'code' is no text"),
        (ROWS["mbpp"] | {"test_list": []}, "its field 'test_list' is empty"),
        (ROWS["mbpp"], "the task 7 is there a second time"),
    ],
)
def test_a_wrong_row_is_told_by_its_line(write, second, sentence):
    with pytest.raises(UsageError, match=sentence) as told:
        load(write(ROWS["mbpp"], second))
    assert told.value.hint


def test_unknown_formats_languages_and_files_are_told(write, tmp_path):
    with pytest.raises(UsageError, match=r"Line 1 of own\.jsonl is in no known format; its fields are: a, b"):
        load(write({"a": 1, "b": 2}))
    with pytest.raises(UsageError, match="There is no benchmark format 'mpbb'"):
        load(write(ROWS["mbpp"]), form="mpbb")
    with pytest.raises(UsageError, match=r"Line 1 of own\.jsonl: there is no language 'cobol'"):
        load(write(ROWS["mbxp"] | {"language": "Cobol", "prompt": "int plus_one (int n) {\n"}))
    with pytest.raises(UsageError, match="its prompt does not define plus_two"):
        load(write(ROWS["mbxp"] | {"entry_point": "plus_two"}))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(str(tmp_path / "none.jsonl"))
    with pytest.raises(UsageError, match="is empty"):
        load(write(""))
    with pytest.raises(UsageError, match="leaves none"):
        load(write(ROWS["mbpp"]), limit=0)
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xe9"}\n')
    with pytest.raises(UsageError, match="is no UTF-8 text"):
        load(str(tmp_path / "latin.jsonl"))


def test_the_hub_needs_its_library_and_a_whole_address(monkeypatch):
    with pytest.raises(UsageError, match="names no file of a data set"):
        load("hf://datasets/owner/name")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(SetupError, match="huggingface_hub is not installed"):
        load("hf://datasets/owner/name/rows.jsonl")
