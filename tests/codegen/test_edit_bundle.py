"""Several files as one program and back, the files that tests are about, and what is a stub."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_diffusion.codegen.bundle import bundle
from agentic_diffusion.codegen.project_files import under_test
from agentic_diffusion.codegen.stubs import stubs
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError

FILES = {
    "python": {
        "low.py": "import math\n\n\ndef low(x):\n    return math.floor(x)\n",
        "pkg/high.py": "from low import (\n    low,\n)\n\n\ndef high(x):\n    return low(x) + 1\n",
        "test_high.py": "from pkg.high import high\n\n\ndef test_high():\n    assert high(1.5) == 2\n",
    },
    "javascript": {
        "low.js": "const low = (x) => Math.floor(x);\nmodule.exports = { low };\n",
        "src/high.js": "const { low } = require('../low');\nfunction high(x) {\n  return low(x) + 1;\n}\n",
        "high.test.js": (
            "const { high } = require('./src/high');\ntest('high', () => { assert.equal(high(1.5), 2); });\n"
        ),
    },
    "java": {
        "Low.java": (
            "package p;\n\nimport java.util.List;\n\nclass Low {\n"
            "  static int low(List<Integer> x) { return x.get(0); }\n}\n"
        ),
        "High.java": (
            "package p;\nimport java.util.List;\nclass High {\n"
            "  static int high(int x) { return Low.low(List.of(x)) + 1; }\n}\n"
        ),
        "HighTest.java": (
            "package p;\nimport org.junit.jupiter.api.Test;\nimport static org.junit.jupiter.api.Assertions.*;\n"
            "class HighTest {\n  @Test void high() { assertEquals(2, High.high(1)); }\n}\n"
        ),
    },
    "go": {
        "low.go": (
            'package p\n\nimport (\n\t"math"\n\t"fmt"\n)\n\nfunc low(x float64) int {\n\tfmt.Sprint(x)\n'
            "\treturn int(math.Floor(x))\n}\n"
        ),
        "high.go": "package p\n\nfunc high(x float64) int {\n\treturn low(x) + 1\n}\n",
        "high_test.go": (
            'package p\n\nimport "testing"\n\nfunc TestHigh(t *testing.T) {\n\tif high(1.5) != 2 {\n'
            '\t\tt.Fatal("no")\n\t}\n}\n'
        ),
    },
}


@pytest.mark.parametrize("language", FILES)
def test_files_are_put_together_and_come_apart_unchanged(tmp_path: Path, language: str) -> None:
    for path, text in FILES[language].items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    test = next(path for path in FILES[language] if "test" in path.lower())
    found = under_test(tmp_path, [test])
    assert set(found.files) == set(FILES[language]) - {test}
    assert len(found.suite.cases) == 1
    whole = bundle(found.files, language, found.modules)
    assert languages.get(language).parse_error(whole.program) is None
    assert whole.files(whole.program) == found.files
    line = next(n for n, text in enumerate(whole.program.split("\n"), 1) if "+ 1" in text)
    path, place = whole.place(line)
    assert "high" in path.lower()
    assert "+ 1" in found.files[path].split("\n")[place - 1]
    changed = whole.files(whole.program.replace("+ 1", "+ 2"))
    assert changed is not None
    assert [name for name in changed if changed[name] != found.files[name]] == [path]


def test_a_bundle_that_lost_a_file_does_not_come_apart() -> None:
    whole = bundle({"a.py": "x = 1\n", "b.py": "y = 2\n"}, "python")
    assert whole.files(whole.program.replace("# agd file 1\n", "")) is None


def test_one_file_is_taken_as_it_is() -> None:
    whole = bundle({"a.py": "from b import c\n"}, "python", ["b"])
    assert whole.program == "from b import c\n"
    assert whole.files("x\n") == {"a.py": "x\n"}
    assert whole.place(7) == ("a.py", 7)


def test_a_module_imported_as_a_whole_is_told() -> None:
    with pytest.raises(UsageError, match="imports the module a as a whole"):
        bundle({"a.py": "x = 1\n", "b.py": "import a\n"}, "python", ["a"])


def test_tests_about_nothing_of_the_project_are_told(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import math\n\n\ndef test_a():\n    assert f(math.pi) == 3\n")
    with pytest.raises(UsageError, match="are about no files of the project"):
        under_test(tmp_path, ["test_a.py"])


STUBS = {
    "python": (
        'def a(x):\n    """Doc."""\n    pass\n\n\ndef b(x):\n    raise NotImplementedError("b")\n\n\n'
        "def c(x):\n    return x\n",
        [1, 6],
    ),
    "javascript": (
        "export const a = (x) => {\n  throw new Error('Remove this');\n};\nfunction b() {}\n"
        "function c() {\n  return 1;\n}\n",
        [1, 4],
    ),
    "typescript": ("export function a(x: unknown): unknown {\n  throw new Error('no')\n}\n", [1]),
    "java": (
        'class A {\n  int a() {\n    throw new UnsupportedOperationException("TODO");\n  }\n'
        "  int c() { return 1; }\n}\n",
        [2],
    ),
    "go": ('package p\n\nfunc a() int {\n\tpanic("TODO")\n}\n\nfunc c() int {\n\treturn 1\n}\n', [3]),
}


@pytest.mark.parametrize("language", STUBS)
def test_functions_without_a_body_are_stubs(language: str) -> None:
    program, lines = STUBS[language]
    assert [stub.line for stub in stubs(program, language)] == lines
