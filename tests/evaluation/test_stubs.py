"""Stubs of four languages, taken apart, and the calls in machine-made tests."""

from __future__ import annotations

import pytest

from agentic_diffusion.evaluation import stubs

JAVASCRIPT = "/**\n * * Write a function to add one.\n *\n * > plusOne(1)\n * 2\n */\nfunction plusOne(n) {\n"
TYPESCRIPT = (
    "/**\n * Write a function to add one.\n * \n * Examples:\n * >>> plus_one(1)\n * >>> 2\n */\n"
    "const plus_one = function (n: number) : number  {\n"
)
JAVA = (
    "import java.util.*;\n\n\nclass PlusOne {\n    /**\n     * * Write a function to add one.\n     *\n"
    "     * > plusOne(1)\n     * 2\n     */\n    public static int plusOne(int n) {\n"
)
GO = (
    'package main\n\nimport (\n\t"math"\n)\n// Code should be written in Go/Golang\n// Write a function to add one.\n'
    "// Examples:\n// >>> plus_one(1)\n// >>> 2\nfunc plus_one (n int) int {\n"
)


@pytest.mark.parametrize(
    ("language", "name", "stub", "preamble", "prefix"),
    [
        ("javascript", "plusOne", JAVASCRIPT, "", "function plusOne(n) {\n"),
        ("typescript", "plus_one", TYPESCRIPT, "", "const plus_one = function (n: number) : number  {\n"),
        ("java", "plusOne", JAVA, "import java.util.*;\n\n",
         "class PlusOne {\n    public static int plusOne(int n) {\n"),
        ("go", "plus_one", GO, 'package main\n\nimport (\n\t"math"\n)\n\n', "func plus_one (n int) int {\n"),
    ],
)  # fmt: skip
def test_a_stub_is_taken_apart(language, name, stub, preamble, prefix):
    found = stubs.take_apart(stub, name, language)
    assert found is not None
    assert (found.preamble, found.prefix) == (preamble, prefix)
    assert found.text == "Write a function to add one."
    assert found.signature == prefix.splitlines()[-1].strip()
    assert stubs.take_apart(stub, "other", language) is None


@pytest.mark.parametrize(
    ("language", "test"),
    [
        ("javascript", "var arg00 = [1, 2];\nvar arg01 = 'a,b';\nvar x0 = f(arg00, arg01);\nvar v0 = 3;\n"),
        (
            "typescript",
            "let actual_1 = f([1, 2], 'a,b');\nlet expected_1 = 3;\nassert.deepEqual(actual_1, expected_1);\n",
        ),
        ("java", "        int x0 = C.f([1, 2], 'a,b');\n        int v0 = 3;\n"),
        ("go", "\tactual_1 := f([1, 2], 'a,b')\n\texpected_1 := 3\n"),
        ("python", "def check(candidate):\n    assert candidate([1, 2], 'a,b') == 3\n"),
    ],
)
def test_calls_are_read_off(language, test):
    (call,) = stubs.calls_of(test, "f", language)
    assert (call.arguments, call.expected) == ("[1, 2], 'a,b'", "3")
    assert stubs.calls_of(test, "g", language) == () or language == "python"
    assert "f([1, 2], 'a,b')" in stubs.example(call, "f", language)
    assert stubs.calls_of(test, "f", "cobol") == ()
