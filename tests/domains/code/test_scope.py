"""Undefined names: what is told, with its line, and all the ways of binding a name that are not."""

from __future__ import annotations

import pytest

from agentic_diffusion.domains.code.scope import undefined_names

PYTHON_FINE = """
import os.path as p, sys
from math import sqrt as root
K: int = 1
def f(a, /, b=K, *c, d, **e):
    global made
    made = [x for x in c if (y := x)]
    def g():
        nonlocal a
        a = lambda z: z + b + y
    try:
        with open(p.join(a)) as h: pass
    except OSError as error:
        print(error, __name__, d, e, made, sys, root(2), h, g)
    match a:
        case [first, *rest]: return first, rest
    for i, (j, k) in enumerate(c): yield i + j + k
class A:
    size = K
    def m(self): return __class__, f, A, super()
async def n():
    async for q in n(): await q
del K
"""
JAVASCRIPT_FINE = """
const { a, b: [c, ...d], e = 1 } = require('x');
function f(g, { h }, i = g, ...j) { return g + h + i + j.length + k(arguments) + e + a + c + d; }
var k = async (l) => { for (const m of l) try { await m } catch (n) { console.log(n) } };
class O extends Map { p = 1; q() { return new O(this.p) } }
const r = function* s(t) { yield* s(t); }, u = v => ({ v, w: v.x, ['y']: undefined });
label: for (z in f) { if (typeof missing === 'undefined') continue label; }
f(r, u, O, z);
"""


@pytest.mark.parametrize(("language", "program"), [("python", PYTHON_FINE), ("javascript", JAVASCRIPT_FINE)])
def test_every_way_of_binding_a_name_counts(language: str, program: str) -> None:
    assert undefined_names(program, language) == []


@pytest.mark.parametrize(
    ("language", "program", "told"),
    [
        ("python", "def f(x):\n    y = x\n    return y + z\n", [(3, "z")]),
        ("python", "def f(x):\n    return g(h(x))\n\ndef k():\n    return h\n", [(2, "g"), (2, "h")]),
        ("python", "class A:\n    x = 1\n    def f(self):\n        return x\n", [(4, "x")]),
        ("python", "def f():\n    y = 1\n\ndef g():\n    return y\n", [(5, "y")]),
        ("javascript", "function f(x) {\n  let y = x;\n  return y + z;\n}\n", [(3, "z")]),
        ("javascript", "const f = x => ({ y, k: x });\n", [(1, "y")]),
        ("javascript", "import a, { b as c } from 'd';\nexport const e = a(c, b);\n", []),
    ],
)
def test_what_nothing_binds_is_told_once_with_its_line(
    language: str, program: str, told: list[tuple[int, str]]
) -> None:
    found = undefined_names(program, language)
    assert [(issue.line, issue.message) for issue in found] == [
        (place, f"{name} is not defined") for place, name in told
    ]


@pytest.mark.parametrize(
    ("language", "program"),
    [
        ("python", "from os import *\nx = path\n"),
        ("python", "exec('x = 1')\nprint(x)\n"),
        ("python", "def f(:\n"),
        ("javascript", "eval('var x = 1'); x;"),
        ("javascript", "let = ;;"),
        ("go", "package main\n\nvar x = y\n"),
    ],
)
def test_silence_where_nothing_can_be_known(language: str, program: str) -> None:
    assert undefined_names(program, language) == []
