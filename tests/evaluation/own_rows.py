"""Rows of our own writing, one in each format of the benchmarks."""

from __future__ import annotations

HALF = {
    "task_id": "Own/0",
    "prompt": 'from typing import List\n\n\ndef halves(numbers: List[int]) -> List[int]:\n    """ Halve each number.\n'
    '    >>> halves([4])\n    [2]\n    """\n',
    "entry_point": "halves",
    "canonical_solution": "    return [number // 2 for number in numbers]\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([4, 6]) == [2, 3]\n"
    "    assert candidate([]) == []\n",
}
ROWS = {
    "humaneval": HALF,
    "mbpp": {
        "task_id": 7,
        "text": "Write a function to add one to a number.",
        "code": "def plus_one(n):\r\n  return n + 1\r\n",
        "test_setup_code": "",
        "test_list": ["assert plus_one(1) == 2", "assert plus_one(5) == 6", "assert plus_one(9) == 10"],
        "challenge_test_list": [],
    },
    "infilling": HALF
    | {
        "task_id": "Single/0/L0",
        "prompt": HALF["prompt"] + "    found = []\n    for number in numbers:\n",
        "canonical_solution": "        found.append(number // 2)\n",
        "suffix": "    return found\n",
    },
    "humanevalfix": {
        "task_id": "Python/0",
        "prompt": HALF["prompt"],
        "declaration": HALF["prompt"],
        "canonical_solution": HALF["canonical_solution"],
        "buggy_solution": "    return [number // 3 for number in numbers]\n",
        "entry_point": "halves",
        "import": "",
        "test_setup": "",
        "test": "def check(halves):\n    assert halves([4, 6]) == [2, 3]\n\ncheck(halves)",
        "example_test": "assert halves([4]) == [2]",
        "instruction": "Halve each number.",
    },
    "quixbugs": {
        "task_id": "own/python/total",
        "language": "python",
        "buggy": 'def total(items):\n    return sum(items[1:])\n\n\n"""\nTotal\n\nOutput:\n    the sum\n"""\n',
        "correct": "def total(items):\n    return sum(items)\n\n\n"
        '"""\ndef total(items):\n    return 0 + sum(items)\n"""\n',
        "pytest": "import pytest\nfrom load_testdata import load_json_testcases\n\nif pytest.use_correct:\n"
        "    from correct_python_programs.total import total\nelse:\n    from python_programs.total import total\n\n"
        "testdata = load_json_testcases(total.__name__)\n\n\n"
        '@pytest.mark.parametrize("input_data,expected", testdata)\ndef test_total(input_data, expected):\n'
        '    if input_data == [[0, 9]]:\n        pytest.skip("slow")\n    assert total(*input_data) == expected\n',
        "driver": None,
        "json_tests": [[[[1, 2]], 3], [[[]], 0], [[[0, 9]], 9]],
    },
    "exercism": {
        "track": "python",
        "kind": "practice",
        "slug": "greet-all",
        "instructions": "# Instructions\n\nGreet by name.\n",
        "solution": {"greet_all.py": "def greet(name):\n    pass\n"},
        "example": {".meta/example.py": "def greet(name):\n    return 'Hello ' + name\n"},
        "test": {
            "greet_all_test.py": "import unittest\nfrom greet_all import (\n    greet,\n)\n\n\n"
            "class GreetTest(unittest.TestCase):\n    def test_a(self):\n"
            "        self.assertEqual(greet('Eve'), 'Hello Eve')\n"
        },
        "editor": {},
    },
    "mbxp": {
        "task_id": "OWN/7",
        "prompt": '\n\ndef plus_one(n):\n    """\n    Write a function to add one.\n'
        '    >>> plus_one(1)\n    2\n    """\n',
        "canonical_solution": "    return n + 1",
        "entry_point": "plus_one",
        "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(1) == 2\n"
        "    assert candidate(5)==6\n\n",
        "language": "python",
        "description": "Write a function to add one.",
    },
}
