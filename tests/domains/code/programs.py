"""Small programs in the five languages: one that is clean, one with a fault of every rule."""

# ruff: noqa: E501  (a program a line)

CLEAN = {
    "python": (
        'def total(values, start=0):\n    """Sum."""\n    found = start\n    for value in values:\n'
        "        if value > 0 and value < 9:\n            found += value\n    return found\n"
    ),
    "javascript": (
        "/** Sum. */\nfunction total(values, start) {\n  let found = start;\n  for (const value of values) {\n"
        "    if (value > 0 && value < 9) {\n      found += value;\n    }\n  }\n  return found;\n}\n"
    ),
    "typescript": (
        "/** Sum. */\nexport function total(values: number[], start: number): number {\n  let found = start;\n"
        "  for (const value of values) {\n    if (value > 0 && value < 9) {\n      found += value;\n    }\n  }\n"
        "  return found;\n}\n"
    ),
    "java": (
        "class Solution {\n    /** Sum. */\n    static int total(int[] values, int start) {\n        int found = start;\n"
        "        for (int value : values) {\n            if (value > 0 && value < 9) {\n                found += value;\n"
        "            }\n        }\n        return found;\n    }\n}\n"
    ),
    "go": (
        "package main\n\n// Sum.\nfunc total(values []int, start int) int {\n\tfound := start\n"
        "\tfor _, value := range values {\n\t\tif value > 0 && value < 9 {\n\t\t\tfound += value\n\t\t}\n\t}\n"
        "\treturn found\n}\n"
    ),
}
FAULTY = {
    "python": (
        "def f(x):\n    spare = 1\n    try:\n        y = x\n    except ValueError:\n        pass\n    return y\n    f(2)\n"
    ),
    "javascript": "function f(x) {\n  const spare = 1;\n  let y;\n  try { y = x; }\n  catch (e) {}\n  return y;\n  f(2);\n}\n",
    "typescript": (
        "function f(x: number): number {\n  const spare = 1;\n  let y = 0;\n  try { y = x; }\n  catch (e) {}\n  return y;\n"
        "  f(2);\n}\n"
    ),
    "java": (
        "class Solution { static int f(int x) {\n  int spare = 1;\n  int y = 0;\n  try { y = x; }\n"
        "  catch (Exception e) {}\n  return y;\n  f(2);\n} }\n"
    ),
    "go": ("func f(x int) int {\n\tspare := 1\n\ty, err := g(x)\n\n\tif err != nil {\n\t}\n\treturn y\n\tf(2)\n}\n"),
}
LINES = {
    "python": [2, 5, 8],
    "javascript": [2, 5, 7],
    "typescript": [2, 5, 7],
    "java": [2, 5, 7],
    "go": [2, 5, 8],
}
"""Where the unused variable, the empty catch and the unreachable statement of `FAULTY` stand."""
NAMES = sorted(CLEAN)
