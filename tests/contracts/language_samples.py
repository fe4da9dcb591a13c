"""The same small function in the languages of this package: right, wrong, failing and broken, with its tests."""

from agentic_diffusion.testing.contracts import LanguageSample

SAMPLES = {
    "python": LanguageSample(
        function="twice",
        right="def twice(x):\n    return 2 * x\n",
        wrong="def twice(x):\n    return 3 * x + 1\n",
        failing="def twice(x):\n    y = None\n    return y + x\n",
        failing_line=3,
        broken="def twice(x):\n    return 2 * (x\n",
        broken_lines=range(2, 3),
        tests=("assert twice(2) == 4", "assert twice(-3) == -6"),
        no_test="import math\n",
    ),
    "javascript": LanguageSample(
        function="twice",
        right="function twice(x) {\n  return 2 * x;\n}\n",
        wrong="function twice(x) {\n  return 3 * x + 1;\n}\n",
        failing="function twice(x) {\n  const y = null;\n  return y.z + x;\n}\n",
        failing_line=3,
        broken="function twice(x) {\n  return 2 * (x;\n}\n",
        broken_lines=range(2, 4),
        tests=("assert.equal(twice(2), 4)", "assert.deepEqual(twice(-3), -6)"),
        no_test="const unused = 1;\n",
    ),
    "typescript": LanguageSample(
        function="twice",
        right="function twice(x: number): number {\n  return 2 * x;\n}\n",
        wrong="function twice(x: number): number {\n  return 3 * x + 1;\n}\n",
        failing="function twice(x: number): number {\n  const y: any = null;\n  return y.z + x;\n}\n",
        failing_line=3,
        broken="function twice(x: number): number {\n  return 2 * (x;\n}\n",
        broken_lines=range(2, 4),
        tests=("assert.equal(twice(2), 4)", "assert.deepEqual(twice(-3), -6)"),
        no_test="const unused = 1;\n",
    ),
    "java": LanguageSample(
        function="twice",
        right="class Solution {\n    public static int twice(int x) {\n        return 2 * x;\n    }\n}\n",
        wrong="class Solution {\n    public static int twice(int x) {\n        return 3 * x + 1;\n    }\n}\n",
        failing=(
            "class Solution {\n    public static int twice(int x) {\n        int[] y = new int[0];\n"
            "        return y[0] + x;\n    }\n}\n"
        ),
        failing_line=4,
        broken="class Solution {\n    public static int twice(int x) {\n        return 2 * (x;\n    }\n}\n",
        broken_lines=range(3, 5),
        tests=("assert Solution.twice(2) == 4;", "assert Solution.twice(-3) == -6;"),
        no_test="int unused = 1;\n",
    ),
    "go": LanguageSample(
        function="twice",
        right="package main\n\nfunc twice(x int) int {\n\treturn 2 * x\n}\n",
        wrong="package main\n\nfunc twice(x int) int {\n\treturn 3*x + 1\n}\n",
        failing="package main\n\nfunc twice(x int) int {\n\ty := []int{}\n\treturn y[x*0] + x\n}\n",
        failing_line=5,
        broken="package main\n\nfunc twice(x int) int {\n\treturn 2 * (x\n}\n",
        broken_lines=range(4, 6),
        tests=(
            'if got := twice(2); got != 4 { t.Errorf("twice(2) = %v", got) }',
            'if got := twice(-3); got != -6 { t.Errorf("twice(-3) = %v", got) }',
        ),
        no_test="",
    ),
}
