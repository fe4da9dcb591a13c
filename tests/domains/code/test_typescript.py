"""TypeScript: syntax, cases, types that run and type errors that are told as evidence."""

from __future__ import annotations

import pytest

from agentic_diffusion.domains.code.languages.typescript import TYPESCRIPT
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import confirm, judge, make_suite

needs_tools = pytest.mark.skipif(
    toolchains.find("node") is None or toolchains.find("tsc") is None, reason="node or tsc is not installed"
)
FILE = """import * as assert from 'assert'
import { area, Kind } from './solution'

interface Row { size: number }
let row: Row = { size: 2 };
let actual: number = area(row.size, Kind.Square);
assert.deepEqual(actual, 4, "first");
test('circle', () => { expect(area(1, Kind.Circle)).toBeCloseTo(3.14, 1); });
"""
GOOD = """export enum Kind { Square, Circle }

interface Unused { a: string }

export function area(size: number, kind: Kind): number {
  return kind === Kind.Square ? size * size : 3.14159 * size * size;
}
"""


def test_syntax() -> None:
    assert TYPESCRIPT.parse_error(GOOD) is None
    problem = TYPESCRIPT.parse_error("function f(a: number {\n}\n")
    assert problem is not None and problem.line == 1
    assert TYPESCRIPT.signature("function f<T>(a: T[]): T { return a[0] }") == "function f<T>(a: T[]): T"
    assert TYPESCRIPT.tools == ("node", "tsc")


def test_cases() -> None:
    assert [case.line for case in TYPESCRIPT.harness.cases(FILE, "x")] == [7, 8]
    assert "area" in TYPESCRIPT.harness.tested_names(FILE)


@needs_tools
def test_types_run_and_type_errors_are_evidence() -> None:
    suite = make_suite(FILE, origin="x", language="typescript")
    loose = GOOD.replace("size: number", "size: string")  # a type error, and right all the same
    wrong = GOOD.replace("size * size : 3", "'4' - 'a' : 3")
    late = GOOD.replace("  return", "  missing();\n  return")
    sandbox = choose()
    verdicts = judge(suite, [GOOD, loose, wrong, late, "const a: = 1"], sandbox, Limits(seconds=30.0))
    assert [verdict.ok for verdict in verdicts] == [True, True, False, False, False]
    assert "first: got NaN, expected 4 (type error in line 6: " in verdicts[2].message
    assert (verdicts[2].failure_line, verdicts[3].failure_line, verdicts[4].failure_line) == (6, 6, 1)
    assert verdicts[3].message.startswith("ReferenceError: missing is not defined (type error in line 6: Cannot find")
    assert confirm(suite, GOOD, sandbox, Limits(seconds=30.0)).ok
