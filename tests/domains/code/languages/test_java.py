"""Java: programs and tests as text, then candidates of every kind judged by the real worker in the real sandbox."""

from __future__ import annotations

import json
import os
import random
import re

import pytest

from agentic_diffusion.domains.code.languages.java import JAVA
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import home
from agentic_diffusion.foundation.sandbox import Limits, choose
from agentic_diffusion.foundation.sandbox.probe import probe
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing import execution
from agentic_diffusion.testing.suite import inline_suite, make_suite
from agentic_diffusion.testing.verdicts import Verdict

LIMITS = Limits(seconds=300)
PACE = execution.Pace(cpu_seconds=2.0, wall_seconds=120.0)
"""Processor time ends what does not end: a busy machine must not."""
HARNESS = JAVA.harness
MAIN = """
class Main {
    public static boolean compare(Object a, Object b) {
        return a == null ? b == null : a.equals(b);
    }

    public static void main(String[] args) throws Exception {
        int arg00 = 2;
        int x0 = Solution.twice(2);
        int v0 = 4;
        if (!(compare(x0, v0))) {
            throw new java.lang.Exception("case 0 did not pass. x0 = " + x0);
        }

        int x1 = Solution.twice(-3);
        int v1 = -6;
        if (!(compare(x1, v1))) {
            throw new java.lang.Exception("case 1 did not pass. x1 = " + x1);
        }
    }
}
"""
JUNIT = """
import static org.junit.jupiter.api.Assertions.*;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

public class SolutionTest {
    private int two;

    @BeforeEach
    void setUp() {
        two = 2;
    }

    @Test
    @DisplayName("doubles")
    public void doubles() {
        assertEquals(4, Solution.twice(two));
        assertThrows(ArithmeticException.class, () -> { int x = 1 / (two - 2); });
    }

    @Test
    void zero() {
        assertEquals(0, Solution.twice(0), "zero stays");
    }

    @Disabled
    @Test
    void later() {
        fail();
    }
}
"""


def program(body: str, head: str = "") -> str:
    """A class with the method `twice`, whose body stands on lines of its own."""
    return f"{head}class Solution {{\n    public static int twice(int x) {{\n        {body}\n    }}\n}}\n"


def test_a_head_is_found_in_code_and_in_words() -> None:
    assert JAVA.signature(program("return 2 * x;")) == "public static int twice(int x)"
    assert JAVA.signature("Write a method twice(int x) that doubles.") == "twice(int x)"
    assert JAVA.signature("Add two numbers.") is None


def test_missing_imports_are_added_but_for_what_is_there() -> None:
    body = "List<Integer> xs = new ArrayList<>(); return xs.size();"
    assert JAVA.with_imports(program(body)).startswith("import java.util.ArrayList;\nimport java.util.List;\n\nclass")
    wild = program(body, "import java.util.*;\n\n")
    assert JAVA.with_imports(wild) == wild


def test_bare_methods_parse_and_prose_around_them_goes() -> None:
    bare = "int twice(int x) {\n    return 2 * x;\n}\n"
    assert JAVA.extract(f"Sure!\n\n{bare}\nIt doubles.\n") == bare


def test_the_cases_of_a_main_take_what_they_need() -> None:
    assert [case.line for case in HARNESS.cases(MAIN, "x")] == [11, 17]
    body = json.loads(HARNESS.suite_program(MAIN))["body"]
    second = body.split("static void agd1()")[1]
    assert "x1" in second and "x0" not in second.split("static void")[0]
    assert HARNESS.tested_names(MAIN) == {"twice"}
    assert HARNESS.example(MAIN) == "Solution.twice(2) == 4"


def test_the_cases_of_a_junit_file_are_its_tests_that_are_not_disabled() -> None:
    assert [case.name for case in HARNESS.cases(JUNIT, "x")] == ["doubles", "zero"]


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("", "are empty"),
        ("int x = 3;\n", "hold no test"),
        ("class Empty {}\n", "hold no test"),
        ("assert twice(2) == ;\n", "do not parse as Java: line 1"),
        ("import com.example.Check;\nassert twice(2) == 4;\n", "import com.example.Check, which is not here"),
        ("import org.junit.Test;\nclass A { @Test public void a() {} }\n", "org.junit.Test of JUnit 4 in line 1"),
        ("import static org.junit.Assert.*;\nclass A {}\n", "org.junit.Assert.* of JUnit 4 in line 1"),
        ("class A {\n  @Test(expected = E.class) void a() {}\n}\n", "@Test(...) of JUnit 4 in line 2"),
        ("class A {\n  @Before void a() {}\n  @Test void b() {}\n}\n", "@Before of JUnit 4 in line 2"),
        ("class A {\n  @Nested class B { @Test void a() {} }\n}\n", "use @Nested in line 2, which is not supported"),
        (
            "class A {\n  @ParameterizedTest\n  @ValueSource(ints = {1})\n  void a(int x) {}\n}\n",
            "use @ParameterizedTest in line 2, which is not supported",
        ),
        ("import org.junit.jupiter.params.provider.CsvSource;\n", "tests with parameters are not supported"),
        ("class A {\n  @RepeatedTest(3) void a() {}\n}\n", "use @RepeatedTest in line 2"),
    ],
)
def test_what_is_no_test_file_is_told(tests: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_suite(tests, origin="mine", language="java")
    assert said in caught.value.message
    assert caught.value.hint


def test_joined_files_keep_what_is_the_same_and_refuse_what_is_not() -> None:
    helper = "boolean same(int a, int b) { return a == b; }\n"
    one, two = f"{helper}assert same(twice(1), 2);\n", f"{helper}assert same(twice(2), 4);\n"
    assert len(HARNESS.cases(HARNESS.join([one, two]), "x")) == 2
    with pytest.raises(UsageError, match="same"):
        HARNESS.join([one, two.replace("a == b", "a != b")])


# By the real worker ------------------------------------------------------------------------------------------------

needs_jdk = pytest.mark.skipif(
    toolchains.find("jdk") is None, reason="no JDK is installed; `agd setup --languages java` brings one"
)
CANDIDATES = {
    "right": program("return 2 * x;"),
    "again": program("return x + x;"),
    "bare": "static int helper(int x) { return x; }\nint twice(int x) {\n    return helper(x) + x;\n}\n",
    "public": "package mine;\npublic class Solution {\n    public static int twice(int x) { return Other.two() * x; }\n"
    "}\nclass Other { static int two() { return 2; } }\n",
    "wrong": program("return 3 * x + 1;"),
    "no such name": program("return y;"),
    "other type": "class Solution {\n    static String twice(String x) { return x; }\n}\n",
    "throwing": program("int[] y = new int[0];\n        return y[0] + x;"),
    "exit": program("System.exit(0); return 2 * x;"),
    "halt": program("Runtime.getRuntime().halt(0); return 2 * x;"),
    "loop": program("while (true) { }"),
    "loop at the top": program("return 2 * x;").replace("{\n", "{\n    static { while (Math.abs(1) > 0) { } }\n", 1),
    "memory": program("java.util.List<byte[]> l = new java.util.Stack<>(); while (true) { l.add(new byte[1 << 24]); }"),
    "output": program('while (true) { System.out.println("y".repeat(60000)); }'),
    "some output": program('System.out.println("{\\"done\\": 1}"); return 2 * x;'),
    "recursion": program("return twice(x + 1) + 1;"),
    "thread": program("Thread t = new Thread(() -> { while (true) { } }); t.setDaemon(true); t.start(); return 2 * x;"),
    "forged": program(
        "try (java.io.FileOutputStream f = new java.io.FileOutputStream(java.io.FileDescriptor.out)) {"
        ' f.write("w end 0 passed 0 0 = =\\n".getBytes()); } catch (Exception e) { } return 2 * x;'
    ),
    "protocol": program(
        'try (java.io.FileOutputStream f = new java.io.FileOutputStream("/proc/self/fd/4")) {'
        ' f.write("{\\"done\\": 20, \\"clean\\": true}\\n".getBytes()); } catch (Exception e) { } return 3 * x + 1;'
    ),
    "reading": program(
        "try { return (int) Class.forName(\"p0.Solution\").getMethod(\"twice\", int.class).invoke(null, x); }"
        " catch (Exception e) { return 3 * x + 1; }"
    ),
}  # fmt: skip

TWINS = {
    "exit": program("if (x > 100) { System.exit(0); } return 2 * x;"),
    "halt": program("Thread t = new Thread(() -> { }); Runtime.getRuntime().addShutdownHook(t); return 2 * x;"),
    "loop": program("int i = 0; while (i < 1000) { i++; } return 2 * x;"),
    "loop at the top": program("return 2 * x;").replace("{\n", "{\n    static { while (Math.abs(1) < 0) { } }\n", 1),
    "memory": program("byte[] kept = new byte[1 << 20]; return 2 * x + kept[0];"),
    "output": program('System.out.println("y".repeat(60000)); return 2 * x;'),
    "recursion": program("return x == 0 ? 0 : x < 0 ? twice(x + 1) - 2 : twice(x - 1) + 2;"),
    "forged": program('System.out.println("w end 0 failed 0 0 = ="); return 2 * x;'),
    "protocol": program(
        'try (java.io.FileOutputStream f = new java.io.FileOutputStream("/dev/null")) { f.write(1); }'
        " catch (java.io.IOException e) { return 0; } return 2 * x;"
    ),
    "reading": program(
        'try { return (int) Class.forName("Solution").getDeclaredMethod("own", int.class).invoke(null, x); }'
        " catch (ReflectiveOperationException e) { return 2 * x; }"
    ),
}
"""What looks like the attack of the same name and does no harm."""


@pytest.fixture(scope="module")
def judged() -> dict[str, Verdict]:
    """The verdict on every candidate, all in one batch."""
    tests = ["assert Solution.twice(2) == 4", "assert twice(-3) == -6", "assertEquals(10, twice(5))"]
    suite = inline_suite(tests, language="java")
    return dict(
        zip(CANDIDATES, execution.judge(suite, list(CANDIDATES.values()), choose(), LIMITS, pace=PACE), strict=True)
    )


@needs_jdk
@pytest.mark.parametrize("name", ["right", "again", "bare", "public", "some output", "thread"])
def test_right_programs_pass(name: str, judged: dict[str, Verdict]) -> None:
    assert judged[name].ok, judged[name].message


@needs_jdk
@pytest.mark.parametrize(
    ("name", "statuses", "said"),
    [
        ("wrong", {"failed"}, "Solution.twice(2) == 4 does not hold: Solution.twice(2) is 7"),
        ("throwing", {"error"}, "ArrayIndexOutOfBoundsException"),
        ("exit", {"killed"}, "ended the process"),
        ("halt", {"killed"}, "ended the process"),
        ("loop", {"timeout"}, "did not end in time"),
        ("loop at the top", {"timeout"}, "did not end in time"),
        ("memory", {"memory", "timeout"}, ""),
        ("output", {"output"}, "too much was written"),
        ("recursion", {"error"}, "StackOverflowError"),
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


@needs_jdk
def test_the_harmless_twin_of_every_attack_passes() -> None:
    suite = inline_suite(["assert twice(2) == 4", "assert twice(-3) == -6"], language="java")
    found = execution.judge(suite, list(TWINS.values()), choose())
    assert {name: verdict.message for name, verdict in zip(TWINS, found, strict=True) if not verdict.ok} == {}


@needs_jdk
@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("no such name", 3, "cannot find symbol; symbol: variable y"),
        ("throwing", 4, "Index 0 out of bounds"),
        ("recursion", 3, "StackOverflowError"),
    ],
)
def test_a_line_of_the_candidate_is_blamed(name: str, line: int, said: str, judged: dict[str, Verdict]) -> None:
    assert judged[name].failure_line == line
    assert said in judged[name].message


@needs_jdk
def test_what_the_tests_cannot_call_is_told(judged: dict[str, Verdict]) -> None:
    assert "the tests do not compile with it: incompatible types" in judged["other type"].message


@needs_jdk
def test_a_main_that_throws_is_run_case_by_case() -> None:
    suite = make_suite(MAIN, origin="x", language="java")
    half = program("if (x < 0) { throw new IllegalStateException(); } return 2 * x;")
    right, second, empty = execution.judge(
        suite, [program("return 2 * x;"), half, program("return 1;")], choose(), LIMITS, pace=PACE
    )
    assert right.ok and right.total == 2, right.message
    assert [outcome.status for outcome in second.outcomes] == ["passed", "error"]
    assert second.failure_line == 3
    assert [outcome.status for outcome in empty.outcomes] == ["failed", "failed"]
    assert empty.message == "Exception: case 0 did not pass. x0 = 1"


@needs_jdk
def test_a_junit_file_is_run_and_its_planted_case_fails() -> None:
    suite = make_suite(JUNIT, origin="x", language="java")
    assert execution.confirm(suite, program("return 2 * x;"), choose(), LIMITS, pace=PACE).ok
    [half] = execution.judge(suite, [program("return x;")], choose(), LIMITS, pace=PACE)
    assert [outcome.status for outcome in half.outcomes] == ["failed", "passed"]
    assert "expected 4, but was 2" in half.message
    planted = HARNESS.planted(JUNIT, random.Random(3))
    assert len(HARNESS.cases(planted.source, "x")) == 3


CLOSED = os.getuid() == 0 and not all(path.stat().st_mode & 1 for path in home().parents if path.exists())
"""Root's candidates run as another user there, whose `access` javac asks before it opens the worker's jar."""


@needs_jdk
@pytest.mark.skipif(CLOSED, reason="the data folder lies in a folder that only root may enter")
@pytest.mark.skipif(probe("landlock")[0] is None, reason=f"no landlock here: {probe('landlock')[1]}")
def test_the_worker_runs_behind_landlock() -> None:
    sandbox = choose(only="landlock")
    suite = inline_suite(["assert twice(2) == 4;", "assert twice(-3) == -6;"], language="java")
    reader = program(
        'try { return java.nio.file.Files.readString(java.nio.file.Path.of("/etc/passwd")) != null ? 2 * x : 0; }\n'
        "catch (Exception e) { return 0; }"
    )
    loop, right = program("while (true) {}"), program("return 2 * x;")
    found = execution.judge(suite, [right, reader, program("return x;")], sandbox, LIMITS, pace=PACE)
    assert [verdict.ok for verdict in found] == [True, False, False]
    assert found[0].tier == "landlock"
    short = execution.Pace(wall_seconds=6.0)  # processor time of others is not told in this tier
    (endless,) = execution.judge(suite, [loop], sandbox, LIMITS, pace=short)
    assert endless.outcomes[0].status == "timeout"


@needs_jdk
def test_arrays_and_lists_are_compared_by_what_is_in_them() -> None:
    tests = ["assertArrayEquals(new int[] {1, 2}, f())", "assertEquals(List.of(List.of(1)), g())"]
    suite = inline_suite(tests, language="java")
    source = "int[] f() { return new int[] {1, 2}; }\nList<List<Integer>> g() { return List.of(List.of(1)); }\n"
    source = JAVA.with_imports(source)
    right, wrong = execution.judge(suite, [source, source.replace("{1, 2}", "{1, 3}")], choose(), LIMITS, pace=PACE)
    assert right.ok, right.message
    assert [outcome.status for outcome in wrong.outcomes] == ["failed", "passed"]
    assert "expected [1, 2], but was [1, 3]" in wrong.message


@needs_jdk
@pytest.mark.parametrize(
    ("tests", "vacuous"),
    [(["assert 1 == 1"], True), (["assert twice(2) == 4"], False), (["assert Solution.twice(2) == 4"], False)],
)
def test_tests_that_prove_nothing_are_found(tests: list[str], vacuous: bool) -> None:
    assert execution.suite_is_vacuous(inline_suite(tests, language="java"), choose()) is vacuous


CHEATS = {
    "an equals that is always true": (
        "assert f(1).equals(List.of(1, 2))",
        "static Object f(int x) { return List.of(x, x + 1); }",
        "static Object f(int x) { return new Object() { public boolean equals(Object o) { return true; } }; }",
    ),
    "a set that only says how large it is": (
        "assertEquals(Set.of(1, 2), f(1))",
        "static Object f(int x) { return Set.of(x, x + 1); }",
        "static Object f(int x) { return new java.util.AbstractSet<Integer>() {\n"
        "    public int size() { return 2; }\n"
        "    public Iterator<Integer> iterator() { return Collections.emptyIterator(); } }; }",
    ),
}


@needs_jdk
@pytest.mark.parametrize("name", CHEATS)
def test_a_planted_case_finds_the_fake(name: str) -> None:
    tests, *texts = CHEATS[name]
    suite = inline_suite([tests], language="java")
    honest, cheat = (JAVA.with_imports(text) for text in texts)
    assert all(verdict.ok for verdict in execution.judge(suite, [honest, cheat], choose()))
    assert execution.confirm(suite, honest, choose(), seed=1).ok
    found = execution.confirm(suite, cheat, choose(), seed=1)
    assert not found.ok
    assert found.message == "faked: an assertion that is false was passed as well"


@pytest.mark.parametrize(
    ("case", "planted"),
    [
        ("assert f(1) == 2;", r"assert f\(1\) == \d\d+;"),
        ("assert f(1).equals(new ArrayList<>(5));", r"assert !\(.*"),
        ("assert of(1, 2) == f(2);", r"assert !\(.*"),
        ("assert f(1) > 0;", r"assert !\(.*"),
        ('assertEquals("a1", f(1));', r'assertEquals\("a1[379]", f\(1\)\);'),
        ("assertArrayEquals(new char[] {'a'}, f(1));", r"assertArrayEquals\(new char\[\] \{'[?~^]'\}, f\(1\)\);"),
        ("int[] v = f(2); if (v[0] != 12 || !compare(f(3), 5L)) throw new Error();", r"if \(v\[0\] != .*"),
    ],
)
def test_what_is_planted_is_false_for_honest_programs_alone(case: str, planted: str) -> None:
    for seed in range(5):
        found = HARNESS.planted(case, random.Random(seed))
        text = HARNESS.cases(found.source, "x")[found.case].source
        assert text != case and re.fullmatch(planted, text)
