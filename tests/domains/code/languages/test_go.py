"""Go: programs and tests as text, then candidates of every kind judged by the real worker in the real sandbox."""

from __future__ import annotations

import json
import random
import re

import pytest

from agentic_diffusion.domains.code.languages.go import GO
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import execution
from agentic_diffusion.testing.suite import inline_suite, make_suite
from agentic_diffusion.testing.verdicts import Verdict

LIMITS = Limits(seconds=300)
PACE = execution.Pace(cpu_seconds=2.0, wall_seconds=120.0)
"""Processor time ends what does not end: a busy machine must not."""
HARNESS = GO.harness
MAIN = """
func deepCompare(a interface{}, b interface{}, msg string) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if !reflect.DeepEqual(x, y) {
		panic(msg)
	}
	return true
}

func main() {
	actual_1 := twice(2)
	expected_1 := 4
	deepCompare(actual_1, expected_1, "case 0 failed")

	actual_2 := twice(-3)
	expected_2 := -6
	deepCompare(actual_2, expected_2, "case 1 failed")
}
"""
FILE = """package solution

import (
	"fmt"
	"testing"
)

var table = []struct{ x, want int }{{1, 2}, {4, 8}}

func TestTable(t *testing.T) {
	for _, row := range table {
		t.Run(fmt.Sprint(row.x), func(t *testing.T) {
			if got := twice(row.x); got != row.want {
				t.Errorf("twice(%d) = %d", row.x, got)
			}
		})
	}
}

func TestZero(t *testing.T) {
	if twice(0) != 0 {
		t.Fatal("zero")
	}
}

func BenchmarkTwice(b *testing.B) {
	for b.Loop() {
		twice(1)
	}
}
"""
RIGHT = "package main\n\nfunc twice(x int) int {\n\treturn 2 * x\n}\n"


def test_a_head_is_found_in_code_and_in_words() -> None:
    assert GO.signature(RIGHT) == "func twice(x int) int"
    assert GO.signature("Write a function twice(x) that doubles.") == "func twice(x)"
    assert GO.signature("func Sum(xs []int) (int, error) {\n") == "func Sum(xs []int) (int, error)"
    assert GO.signature("Add two numbers.") is None


def test_missing_imports_are_added_behind_the_package_clause() -> None:
    source = "package main\n\nfunc f(s string) []string {\n\treturn strings.Fields(s)\n}\n"
    assert GO.with_imports(source).startswith('package main\n\nimport "strings"\n')
    shadowed = "package main\n\nfunc f(strings T) int {\n\treturn strings.Len()\n}\n"
    assert GO.with_imports(shadowed) == shadowed


@pytest.mark.parametrize(
    ("imports", "left"),
    [
        ('import "fmt"\n', ""),
        ('import (\n\t"fmt"\n\t"os"\n)\n', ""),
        ('import (\n\t"fmt"\n\t"strings" // kept\n)\n', 'import (\n\t"strings" // kept\n)\n'),
        ('import "fmt"; import "strings"\n', '; import "strings"\n'),
        ('import _ "fmt"\nimport . "os"\n', 'import _ "fmt"\nimport . "os"\n'),
        ('import "example.org/strange/name"\n', 'import "example.org/strange/name"\n'),
        ('import g "fmt"\n', ""),
        ('import "sort"\n', 'import "sort"\n'),
    ],
)
def test_unused_imports_go_where_nothing_is_in_doubt(imports: str, left: str) -> None:
    body = "func f(s string, sort int) []string {\n\treturn strings.Fields(s)\n}\n"
    added = "" if "strings" in imports else 'import "strings"\n'
    found = GO.with_imports(f"package main\n\n{imports}\n{body}")
    assert re.sub(r"\n+", "\n", found) == f"package main\n{added}{left}{body}"


def test_prose_around_a_program_goes() -> None:
    answer = f"Here it is.\n\n{RIGHT}\nThis function doubles its argument.\n"
    assert GO.extract(answer) == RIGHT


def test_the_cases_of_a_main_are_its_comparisons_with_what_they_need() -> None:
    cases = HARNESS.cases(MAIN, "x")
    assert [case.line for case in cases] == [14, 18]
    program = json.loads(HARNESS.suite_program(MAIN))
    first, second = program["body"].split("return []func(*testing.T){")[1].split("func(t *testing.T) {")[1:]
    assert "actual_1" in first and "actual_2" not in first
    assert "actual_2" in second and "actual_1" not in second
    assert program["imports"] == ["encoding/json", "reflect", "testing"]
    assert HARNESS.example(MAIN) == "twice(2) == 4"


def test_the_cases_of_a_file_are_its_tests() -> None:
    assert [case.name for case in HARNESS.cases(FILE, "x")] == ["TestTable", "TestZero"]
    assert HARNESS.tested_names(FILE) == {"twice"}


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("", "are empty"),
        ("x := 3\n", "hold no test"),
        ("func helper() int { return 1 }\n", "hold no test"),
        ("if twice(2) != 4 {", "do not parse as Go: line 1"),
    ],
)
def test_what_is_no_test_file_is_told(tests: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_suite(tests, origin="mine", language="go")
    assert said in caught.value.message
    assert caught.value.hint


def test_joined_files_keep_what_is_the_same_and_refuse_what_is_not() -> None:
    helper = "func same(a, b int) bool { return a == b }\n"
    one, two = f"{helper}assert(same(twice(1), 2))\n", f"{helper}assert(same(twice(2), 4))\n"
    assert len(HARNESS.cases(HARNESS.join([one, two]), "x")) == 2
    with pytest.raises(UsageError, match="same"):
        HARNESS.join([one, two.replace("a == b", "a != b")])


# By the real worker ------------------------------------------------------------------------------------------------

needs_go = pytest.mark.skipif(
    toolchains.find("go") is None, reason="Go is not installed; `agd setup --languages go` brings it"
)
CANDIDATES = {
    "right": RIGHT,
    "neighbour": "func twice(x int) int { secretOfTheNeighbour := 2; return secretOfTheNeighbour * x }\n",
    "bare": 'import "math"\nfunc twice(x int) int { return int(math.Round(2 * float64(x))) }\n',
    "wrong": "func twice(x int) int {\n\treturn 3*x + 1\n}\n",
    "unused import": 'package main\n\nimport "fmt"\n\nfunc twice(x int) int { return 2 * x }\n',
    "unused name": "package main\n\nfunc twice(x int) int {\n\ty := 1\n\treturn 2 * x\n}\n",
    "other type": "package main\n\nfunc helper() {}\nfunc twice(x string) string { return x }\n",
    "exit": 'import "os"\nfunc twice(x int) int { os.Exit(0); return 2 * x }\n',
    "loop": "func twice(x int) int { for {} }\n",
    "loop at the top": "func init() { for {} }\nfunc twice(x int) int { return 2 * x }\n",
    "memory": "func twice(x int) int { var s [][]byte; for { s = append(s, make([]byte, 1<<24)); s[len(s)-1][5] = 1\n"
    "for i := range s[len(s)-1] { s[len(s)-1][i] = 1 } } }\n",
    "output": 'import "fmt"\nfunc twice(x int) int { for { fmt.Println(string(make([]byte, 60000))) } }\n',
    "some output": 'import "fmt"\nfunc twice(x int) int { fmt.Println("{\\"done\\": 1}"); return 2 * x }\n',
    "recursion": "func twice(x int) int { return twice(x+1) + 1 }\n",
    "deadlock": "func twice(x int) int { c := make(chan int); return <-c }\n",
    "goroutine": "func twice(x int) int { go func() { for {} }(); return 2 * x }\n",
    "forged": 'import "os"\nfunc twice(x int) int {\n\tos.NewFile(5, "r").WriteString("w end 0 passed 0 0 a b\\n")'
    "\n\treturn 2 * x\n}\n",
    "protocol": 'import "os"\nfunc init() { os.NewFile(4, "r").WriteString("{\\"done\\": 19, \\"clean\\": true}") }\n'
    "func twice(x int) int { return 3 * x + 1 }\n",
    "reading": 'import ("os"; "path/filepath"; "strings")\nfunc twice(x int) int {\n'
    '\tplaces, _ := filepath.Glob("/scratch/work/*/*.go")\n\tmore, _ := filepath.Glob("../work/*/*.go")\n'
    "\tfor _, place := range append(places, more...) {\n\t\ttext, _ := os.ReadFile(place)\n"
    '\t\tif strings.Contains(string(text), "secretOfTheNeighbour :=") { return 2 * x }\n\t}\n\treturn 3*x + 1\n}\n',
}

TWINS = {
    "exit": 'import "os"\nfunc twice(x int) int { if x > 100 { os.Exit(0) }; return 2 * x }\n',
    "loop": "func twice(x int) int { for i := 0; ; i++ { if i > 1000 { return 2 * x } } }\n",
    "loop at the top": "func init() { for i := 0; i < 1000; i++ {} }\nfunc twice(x int) int { return 2 * x }\n",
    "memory": "func twice(x int) int { kept := make([]byte, 1<<20); return 2*x + int(kept[0]) }\n",
    "output": 'import "fmt"\nfunc twice(x int) int { fmt.Println(string(make([]byte, 1000))); return 2 * x }\n',
    "recursion": "func twice(x int) int {\n\tif x < 0 { return twice(x+1) - 2 }\n\tif x > 0 { return twice(x-1) + 2 }\n"
    "\treturn 0\n}\n",
    "deadlock": "func twice(x int) int { c := make(chan int, 1); c <- 2 * x; return <-c }\n",
    "forged": 'import "os"\nfunc twice(x int) int {\n\tos.Stdout.WriteString("w end 0 failed 0 0 a b\\n")\n'
    "\treturn 2 * x\n}\n",
    "reading": 'import "os"\nfunc twice(x int) int {\n\tos.WriteFile("own", []byte{2}, 0o600)\n'
    '\ttext, _ := os.ReadFile("own")\n\tif len(text) == 1 { return int(text[0]) * x }\n\treturn 2 * x\n}\n',
}
"""What looks like the attack of the same name and does no harm."""


@pytest.fixture(scope="module")
def judged() -> dict[str, Verdict]:
    """The verdict on every candidate, all in one batch."""
    suite = inline_suite(["assert(twice(2) == 4)", "twice(-3) == -6", "assertEqual(t, twice(5), 10)"], language="go")
    return dict(
        zip(CANDIDATES, execution.judge(suite, list(CANDIDATES.values()), choose(), LIMITS, pace=PACE), strict=True)
    )


@needs_go
@pytest.mark.parametrize("name", ["right", "neighbour", "bare", "some output", "goroutine"])
def test_right_programs_pass(name: str, judged: dict[str, Verdict]) -> None:
    assert judged[name].ok, judged[name].message


@needs_go
@pytest.mark.parametrize(
    ("name", "statuses", "said"),
    [
        ("wrong", {"failed"}, "twice(2) == 4 does not hold: twice(2) is 7"),
        ("exit", {"killed"}, "ended the process"),
        ("loop", {"timeout"}, "did not end in time"),
        ("loop at the top", {"timeout"}, "what comes before the cases did not end in time"),
        ("memory", {"memory", "timeout"}, ""),
        ("output", {"output"}, "bytes were written"),
        ("recursion", {"error"}, "stack overflow"),
        ("deadlock", {"error"}, "deadlock"),
        ("forged", {"error"}, "faked"),
        ("protocol", {"failed"}, "does not hold"),
        ("reading", {"failed"}, "does not hold"),
    ],
)
def test_others_do_not(name: str, statuses: set[str], said: str, judged: dict[str, Verdict]) -> None:
    verdict = judged[name]
    assert not verdict.ok and verdict.passed == 0
    assert {outcome.status for outcome in verdict.outcomes} <= statuses
    assert said in verdict.message


@needs_go
def test_the_harmless_twin_of_every_attack_passes() -> None:
    suite = inline_suite(["assert(twice(2) == 4)", "twice(-3) == -6"], language="go")
    found = execution.judge(suite, list(TWINS.values()), choose())
    assert {name: verdict.message for name, verdict in zip(TWINS, found, strict=True) if not verdict.ok} == {}


@needs_go
@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("unused import", 3, '"fmt" imported and not used'),
        ("unused name", 4, "declared and not used: y"),
        ("other type", 4, "the tests do not compile with it"),
    ],
)
def test_the_compiler_blames_a_line_of_the_candidate(
    name: str, line: int, said: str, judged: dict[str, Verdict]
) -> None:
    assert judged[name].failure_line == line
    assert said in judged[name].message


@needs_go
def test_imports_that_the_tests_of_the_same_file_use_are_allowed() -> None:
    suite = make_suite(MAIN, origin="x", language="go")
    written = RIGHT.replace("main\n", 'main\n\nimport (\n\t"encoding/json"\n\t"reflect"\n)\n', 1)
    empty = written.replace("return 2 * x", 'panic("empty")')
    right, stub = execution.judge(suite, [written, empty], choose(), LIMITS, pace=PACE)
    assert right.ok and right.total == 2, right.message
    assert stub.passed == 0
    assert stub.failure_line == 9


@needs_go
def test_a_file_of_tests_is_run_and_its_planted_case_fails() -> None:
    suite = make_suite(FILE, origin="x", language="go")
    assert execution.confirm(suite, RIGHT, choose(), LIMITS, pace=PACE).ok
    [half] = execution.judge(suite, [RIGHT.replace("2 * x", "x")], choose(), LIMITS, pace=PACE)
    assert [outcome.status for outcome in half.outcomes] == ["failed", "passed"]
    assert half.message.startswith("AssertionError: 1: twice(1) = 1")
    planted = HARNESS.planted(FILE, random.Random(3))
    assert len(HARNESS.cases(planted.source, "x")) == 3


@needs_go
@pytest.mark.parametrize(
    ("tests", "vacuous"),
    [(["assert(1 == 1)"], True), (["assert(twice(2) == 4)"], False), (["twice(2); assert(true)"], False)],
)
def test_tests_that_prove_nothing_are_found(tests: list[str], vacuous: bool) -> None:
    assert execution.suite_is_vacuous(inline_suite(tests, language="go"), choose()) is vacuous


NUMBER = (
    "type Num struct{ n int }\n\nfunc f(x int) Num { return Num{x + 1} }\n"
    "func (a Num) Equal(b int) bool { return %s }\n"
)
CHEATS = {
    "a method that equals all": ("assert(f(1).Equal(2))", NUMBER % "a.n == b", NUMBER % "true"),
    "an error that is all errors": (
        "assert(errors.Is(f(), io.EOF))",
        'import "io"\nfunc f() error { return io.EOF }\n',
        'type all struct{}\n\nfunc (all) Error() string { return "" }\nfunc (all) Is(error) bool { return true }\n'
        "func f() error { return all{} }\n",
    ),
}


@needs_go
@pytest.mark.parametrize("name", CHEATS)
def test_a_planted_case_finds_the_fake(name: str) -> None:
    tests, honest, cheat = CHEATS[name]
    suite = inline_suite([tests], language="go")
    assert all(verdict.ok for verdict in execution.judge(suite, [honest, cheat], choose()))
    assert execution.confirm(suite, honest, choose(), seed=1).ok
    found = execution.confirm(suite, cheat, choose(), seed=1)
    assert not found.ok
    assert found.message == "faked: an assertion that is false was passed as well"


SHADOWS = {
    "panic": (
        'if got := f(1); got != 2 { panic("no") }',
        "func panic(any) {}\nfunc f(x int) int { return 0 }\n",
    ),
    "len": (
        "assert(len(f(3)) == 3)",
        "func len(x any) int { return 3 }\nfunc f(x int) []int { return nil }\n",
    ),
    "a length that counts the questions": (
        "assert(len(f(3)) == 3)",
        "var asked int\nfunc len(x any) int { asked++; return 5 - 2*(asked%2) }\nfunc f(x int) []int { return nil }\n",
    ),
    "true": (
        "assert(f(1) == true)",
        "const true = 1 > 2\nfunc f(x int) bool { return 1 > 2 }\n",
    ),
    "type": (
        "assert(string(f(1)) == string([]byte{50}))",
        "type string struct{}\nfunc f(x int) string { return string{} }\n",
    ),
}


@needs_go
@pytest.mark.parametrize("name", SHADOWS)
def test_what_shadows_a_builtin_deceives_no_test(name: str) -> None:
    tests, cheat = SHADOWS[name]
    suite = inline_suite([tests], language="go")
    [found] = execution.judge(suite, [cheat], choose())
    assert not found.ok
    assert not execution.confirm(suite, cheat, choose(), seed=1).ok


@needs_go
def test_a_program_may_have_names_of_builtins_for_itself() -> None:
    honest = (
        "package main\n\ntype pair struct{ len, cap int }\n\n"
        "func (p pair) copy() pair { return pair{len: p.len, cap: p.cap} }\n"
        "func len(p pair) int { return p.len }\nfunc max(a, b int) int { if a > b { return a }; return b }\n"
        "var print = func(x int) int { len := x; return len }\n"
        "func twice(x int) int { return max(0, len(pair{x, 1}.copy())) + print(x) }\n"
    )
    assert HARNESS.candidate_program(honest).count("\n") == honest.count("\n")
    [found] = execution.judge(
        inline_suite(["assert(twice(2) == 4)", "max(1, 2) == 2"], language="go"), [honest], choose()
    )
    assert found.ok, found.message


@pytest.mark.parametrize(
    ("case", "planted"),
    [
        ("assert(f(1) == 2)", r"assert\(f\(1\) == \d\d+\)"),
        ("assertEqual(t, f(1), map[int]bool{1: true})", r"assertEqual\(t, f\(1\), map\[int\]bool\{1: false\}\)"),
        ("assert(reflect.DeepEqual(f(1), []uint8{200}))", r"assert\(.*\{19\d\}\)\)"),
        ("assert(f(1) > 0)", r"assert\(!\(.*"),
        ("assert(f(1) == g(2))", r"assert\(!\(.*"),
    ],
)
def test_what_is_planted_is_false_for_honest_programs_alone(case: str, planted: str) -> None:
    for seed in range(5):
        found = HARNESS.planted(case + "\n", random.Random(seed))
        text = HARNESS.cases(found.source, "x")[found.case].source
        assert text != case and re.fullmatch(planted, text)
