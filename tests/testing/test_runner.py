"""The runner of languages with a harness: bad candidates cost only themselves, forged reports are not believed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.foundation.sandbox.base import MIB
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import Pace, confirm, inline_suite, judge, suite_is_vacuous
from agentic_diffusion.testing.runner import WorkerServer, read_object

pytestmark = pytest.mark.skipif(toolchains.find("node") is None, reason="node is not installed")
PACE = Pace(cpu_seconds=0.5, wall_seconds=2.0)
LIMITS = Limits(seconds=20.0, memory_bytes=256 * MIB, output_bytes=20_000)
SUITE = inline_suite(["assert.equal(f(1), 2)", "assert.equal(f(2), 3)"], language="javascript")
GOOD = "function f(x) {\n  return x + 1;\n}\n"


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[WorkerServer]:
    with WorkerServer(SUITE, sandbox, LIMITS, PACE, random.Random(0)) as server:
        yield server


ATTACKS = {
    "leaves": ("function f(x) { process.exit(0) }", "killed"),
    "loops": ("function f(x) { for (;;); }", "timeout"),
    "loops in microtasks": (
        "async function f(x) { const g = () => Promise.resolve().then(g); await g(); }\nf(1);",
        "failed",
    ),
    "prints": (
        "function f(x) { for (let i = 0; i < 1e9; i += 1) console.log('y'.repeat(1000)); return x + 1 }",
        "output",
    ),
    "patches": (
        'assert = { equal() {} }; JSON.stringify = () => \'{"status":"passed"}\'; Object.is = () => true;\n'
        "Object.prototype.toJSON = () => 'passed'; Array.prototype.push = () => 0; Promise.prototype.then = () => 0;\n"
        "Array.prototype[Symbol.iterator] = function* () {}; function f(x) { return 'no' }",
        "failed",
    ),
    "forges": (
        "function f(x) { this.constructor.constructor('return process')().mainModule.require('fs')"
        '.writeSync(4, \'{"id":0,"outcomes":[]}\\n\'); return x + 1 }',
        "error",
    ),
    "escapes": (
        "function f(x) { return import('fs').constructor.constructor('return process')().binding('fs') }",
        "error",
    ),
    "reads": ("function f(x) { require('fs').readdirSync('.'); return x + 1 }", "error"),
    "connects": ("function f(x) { require('net').connect(80, '127.0.0.1'); return x + 1 }", "error"),
    "calls the driver": ("function f(x) { __step('x'); __step = 1; return x }", "failed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_fail_and_spare_their_neighbours(server: WorkerServer, name: str) -> None:
    attack, status = ATTACKS[name]
    before, found, after = server.verdicts([GOOD, attack, GOOD])
    assert before.ok and after.ok
    assert not found.ok
    assert found.outcomes[0].status == status
    assert found.message


TWINS = {
    "leaves": "function f(x) { process.exitCode = 0; return x + 1 }",
    "loops": "function f(x) { for (let i = 0; ; i += 1) if (i > 1000) return x + 1 }",
    "loops in microtasks": "async function g() { await Promise.resolve(); }\nfunction f(x) { g(); return x + 1 }",
    "prints": "function f(x) { for (let i = 0; i < 5; i += 1) console.log('y'.repeat(1000)); return x + 1 }",
    "patches": "Array.prototype.last = function () { return this[this.length - 1] };\n"
    "function f(x) { return [x, x + 1].last() }",
    "forges": "function f(x) { const done = JSON.stringify({ id: 0, outcomes: [] }); console.log(done); return x + 1 }",
    "escapes": "function f(x) { return f.constructor('x', 'return x + 1')(x) }",
    "reads": "function f(x) { return require('util').inspect(x).length + x }",
    "connects": "function f(x) { const url = 'http://127.0.0.1:80'; return url.length - 19 + x + 1 }",
    "calls the driver": "function f(x) { const __steps = 1; return x + __steps }",
}
"""What looks like the attack of the same name and does no harm."""


def test_the_harmless_twin_of_every_attack_passes(server: WorkerServer) -> None:
    assert TWINS.keys() == ATTACKS.keys()
    found = dict(zip(TWINS, server.verdicts(list(TWINS.values())), strict=True))
    assert {name: verdict.message for name, verdict in found.items() if not verdict.ok} == {}


def test_memory_costs_only_its_own_candidate(sandbox: Sandbox) -> None:
    greedy = "const kept = [];\nfunction f(x) { for (;;) kept.push(new Array(1e6).fill(x)); }\n"
    modest = "function f(x) { const kept = new Array(1000).fill(x); return kept[0] + 1 }\n"
    pace = Pace(cpu_seconds=15.0, wall_seconds=18.0)
    verdicts = judge(SUITE, [GOOD, greedy, modest], sandbox, LIMITS, pace=pace)
    assert [verdict.ok for verdict in verdicts] == [True, False, True]
    assert verdicts[1].outcomes[0].status in {"memory", "killed"}


def test_candidates_do_not_see_one_another(server: WorkerServer) -> None:
    first = "globalThis.left = 41; Array.prototype.left = 41;\n" + GOOD
    second = "function f(x) { return typeof left === 'undefined' && [].left === undefined ? x + 1 : 0 }"
    assert [verdict.ok for verdict in server.verdicts([first, second])] == [True, True]


def test_a_batch_keeps_its_order_and_tells_what_does_not_compile(server: WorkerServer, sandbox: Sandbox) -> None:
    texts = [GOOD, "function f( {", "let a = 1;\nlet a = 2;", "function f(x) {\n  return y;\n}\n"] * 6
    verdicts = judge(SUITE, texts, sandbox, LIMITS, pace=PACE)
    assert [verdict.candidate for verdict in verdicts] == texts
    assert [verdict.passed for verdict in verdicts] == [2, 0, 0, 0] * 6
    assert [verdict.failure_line for verdict in verdicts[:4]] == [None, 1, 2, 2]
    assert "already been declared" in verdicts[2].message
    assert verdicts[3].message == "ReferenceError: y is not defined"


CHEATS = {
    "a patched method": (
        "javascript",
        "if (!f(1).every((x) => x === 1)) throw new Error('no')",
        "function f(x) { return [x, x] }",
        "function f(x) { Array.prototype.every = () => true; return [5] }",
    ),
    "a patched toJSON": (
        "javascript",
        "assert.equal(JSON.stringify(f(1)), JSON.stringify([1, 2]))",
        "function f(x) { return [x, x + 1] }",
        "Array.prototype.toJSON = () => 'all';\nfunction f(x) { return [] }",
    ),
    "an object that equals all": (
        "javascript",
        "assert.ok(f(1).equals(2))",
        "function f(x) { return { equals: (y) => y === x + 1 } }",
        "function f(x) { return { equals: () => true } }",
    ),
    "a patched toJSON with types": (
        "typescript",
        "assert.equal(JSON.stringify(f(1)), JSON.stringify([1, 2]))",
        "function f(x: number): number[] { return [x, x + 1]; }",
        "(Array.prototype as any).toJSON = () => 'all';\nfunction f(x: number): number[] { return []; }",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_planted_case_finds_the_fake(sandbox: Sandbox, name: str) -> None:
    language, tests, honest, cheat = CHEATS[name]
    if language == "typescript" and toolchains.find("tsc") is None:
        pytest.skip("tsc is not installed")
    suite = inline_suite([tests], language=language)
    assert all(verdict.ok for verdict in judge(suite, [honest, cheat], sandbox, LIMITS, pace=PACE))
    assert confirm(suite, honest, sandbox, LIMITS, pace=PACE, seed=1).ok
    found = confirm(suite, cheat, sandbox, LIMITS, pace=PACE, seed=1)
    assert not found.ok
    assert found.message == "faked: an assertion that is false was passed as well"


def test_vacuous_suites(sandbox: Sandbox) -> None:
    nothing = inline_suite(["assert.ok(typeof f === 'function')"], language="javascript")
    assert suite_is_vacuous(nothing, sandbox)
    assert not suite_is_vacuous(SUITE, sandbox)


def test_reserved_address_space_is_checked() -> None:
    with pytest.raises(ConfigError, match="reserved_bytes is -1"):
        Limits(reserved_bytes=-1)


def test_lines_that_are_no_objects() -> None:
    assert read_object(None) is None
    assert read_object(b"[1]") is None
    assert read_object(b"{") is None
    assert read_object(b'{"done": 1}') == {"done": 1}
