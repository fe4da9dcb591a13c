"""The grammars: what they accept parses, what people write is accepted, and early errors are seen in time."""

from __future__ import annotations

import ast

import llguidance
import pytest

from agentic_diffusion.domains.code import early_errors, grammar
from agentic_diffusion.foundation.errors import UsageError
from tiny_coder import END, stock_tokenizer

GOOD = {
    "python": [
        (
            "def f(x, *rest, y=1, **more):\n"
            '    """Doc."""\n'
            "    # why\n"
            "    if x is not None and (x\n"
            "  > 3):\n"
            "        return x[1:]\n"
            "    else:\n"
            '        print(f"a{x!r:>3} {{}}")\n'
            "    return [a for a in rest if a]\n"
        ),
        (
            "import os\n"
            "\n"
            "class A(B):\n"
            "  x: int = 1\n"
            "  @property\n"
            "  def f(self) -> str:\n"
            "    try:\n"
            "      return 'a'\n"
            "    except E as e: raise\n"
        ),
        ("def f():\n\twhile True:\n\t\tbreak\n\tx, (y, *z) = lambda a, b=2: a\n"),
    ],
    "javascript": [
        (
            "const f = (a, {b, c: [d]}) => {\n"
            "  let x = a / 2\n"
            "  return [...b, x].map(y => y ** 2)\n"
            "    .filter(Boolean);\n"
            "};\n"
        ),
        (
            "class A extends B {\n"
            "  constructor(x) {\n"
            "    super(x);\n"
            "    this.x = `a${x}`;\n"
            "  }\n"
            "  get y() { return /[a-z]+/g.test(this.x); }\n"
            "}\n"
        ),
        (
            "function f(n) {\n"
            "  for (const [i, x] of n.entries()) if (i) continue; else break;\n"
            "  [a, b] = [b, a];\n"
            "  return n ? f(n - 1) : 0\n"
            "}\n"
        ),
    ],
    "typescript": [
        (
            "interface P { x: number; y?: string }\n"
            "function f<T>(a: T[], b: Map<string, Array<number>> = new Map()): T | null {\n"
            "  const c = a[0] as T;\n"
            "  return c ?? null;\n"
            "}\n"
        ),
        (
            "class A<T> {\n"
            "  private x: T[] = [];\n"
            "  constructor(public y: number) {}\n"
            "  pop(): T | undefined { return this.x.pop(); }\n"
            "}\n"
        ),
    ],
    "java": [
        (
            "import java.util.*;\n"
            "\n"
            "public class A<T extends Comparable<T>> {\n"
            "    private final int[] x = {1, 2};\n"
            "    A(int y) { this.y = y; }\n"
            "    public static List<List<Integer>> f(Map<String, int[]> m) throws E {\n"
            "        for (int i = 0; i < 3; i++) if (i > 1) break;\n"
            "        return m.values().stream().map(v -> (long) v[0]).toList();\n"
            "    }\n"
            "}\n"
        ),
    ],
    "go": [
        "func f(a, b int, c ...string) (x, y int) {\n\treturn\n}\n",
        "func f(a ...int) (int, string) {\n\treturn 1, \"\"\n}\n",
        (
            "package main\n"
            "\n"
            "import (\n"
            '\t"fmt"\n'
            ")\n"
            "\n"
            "type T struct {\n"
            "\tx int\n"
            "}\n"
            "\n"
            "func (t *T) F(a ...int) (int, error) {\n"
            "\tif v, ok := m[a[0]]; ok {\n"
            "\t\treturn v, nil\n"
            "\t} else {\n"
            "\t\tfmt.Println([]int{1, 2}[1:])\n"
            "\t}\n"
            "\tfor i := range a {\n"
            "\t\tgo func() { t.x++ }()\n"
            "\t}\n"
            "\treturn 0, nil\n"
            "}\n"
        ),
    ],
}
BAD = {
    "python": [
        "x andy\n",
        ("def f():\nreturn 1\n"),
        "x = = 1\n",
        "f() = 1\n",
        ("try:\n    pass\nexceptE: pass\n"),
        "return 1\n",
        "*a\n",
        "x orf'a'\n",
        "*a = 0\n",
        "(*a) = 0\n",
        '"```"\n',
    ],
    "javascript": [
        "class A {\n  b\n  {}\n}\n",
        "let x = 1 let y",
        ("a = b\n(c)"),
        "if (x) let y = 1;",
        "const x;",
        "break;",
        "f() = 1;",
        "a ?? b || c;",
        "x = -a ** b;",
        "x = a < !--b;",
        ("x = a\n++\nb +"),
    ],
    "typescript": [
        "function f(a?: number, b: number) {}",
        "exportfunction f() {}",
        "let x: = 1;",
        "enum E { a = 'b', c }",
    ],
    "java": [
        "class A { int f() { if (x) int y = 1; } }",
        "publicclass A {}",
        "class A { int x = 99999999999; }",
        "class A { f = 1; }",
    ],
    "go": [
        "func f() (a ...int) {}\n",
        "func f(a ...int, b int) {}\n",
        ("package main\n\nfunction f() {}\n"),
        ("package main\n\nfunc f() {\n\tx\n\t.y()\n}\n"),
        ("package main\n\nfunc f() {\n\ta, b\n}\n"),
        ("package main\n\nvar x = (a<-b)\n"),
        ("package main\n\nvar x = a && &&b\n"),
        ("package main\n\nvar x = (a //*b*/\n)\n"),
    ],
}


@pytest.fixture(scope="module")
def engine():
    return llguidance.LLTokenizer(stock_tokenizer().to_str(), eos_token=END)


def accepted(engine, language: str, text: str) -> bool:
    matcher = llguidance.LLMatcher(engine, llguidance.LLMatcher.grammar_from_lark(grammar.source(language)))
    assert not matcher.is_error(), matcher.get_error()
    tokens = engine.tokenize_bytes(text.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def test_five_languages_have_a_grammar():
    assert grammar.names() == ("go", "java", "javascript", "python", "typescript")


@pytest.mark.parametrize(("language", "text"), [(lang, text) for lang, texts in GOOD.items() for text in texts])
def test_ordinary_programs_are_accepted(engine, language, text):
    if language == "python":
        ast.parse(text)
    assert accepted(engine, language, text)
    assert not early_errors.certain(language, text)


@pytest.mark.parametrize(("language", "text"), [(lang, text) for lang, texts in BAD.items() for text in texts])
def test_what_does_not_parse_is_refused(engine, language, text):
    assert not accepted(engine, language, text)


@pytest.mark.parametrize(
    "text",
    [
        "let a = 1; let a ;",
        "function f(a) { let a ;",
        "let a; { var a ;",
        "const f = (a, a) => 1",
        "const module = 1",
        "for (let i = 0; i < 3; i++) { var i ;",
        "try {} catch (e) { let e ;",
        "let {a, b: c} = x, c ;",
        "let x = 1\nlet x ;",
    ],
)
def test_a_name_declared_twice_is_certain(text):
    assert early_errors.certain("javascript", text)


@pytest.mark.parametrize(
    "text",
    [
        "let a = 1; { let a ; }",
        "function f(a) { var a ;}",
        "for (let i = 0;;) {} for (let i = 0;;) {}",
        "let a = b, c = a;",
        "let x = `a${y} let x`; let y;",
        "if (x) { let a = 1; } else { let a = 2; }",
        "let a = 1; let a",
        "/let a/; let a;",
        "let a = `\\",
    ],
)
def test_names_in_scopes_of_their_own_or_that_may_grow_are_not(text):
    assert not early_errors.certain("javascript", text)


def test_keys_and_constructors():
    assert early_errors.certain("typescript", "let a = {b: 1, b: 2")
    assert not early_errors.certain("typescript", "let a = {b: 1, c: {b: 2}")
    assert early_errors.certain("java", "class A { B(")
    assert not early_errors.certain("java", "class A { A(int x) { f(); } void B(")


def test_an_unknown_language_is_told_the_known_ones():
    with pytest.raises(UsageError, match="no grammar for 'cobol'") as caught:
        grammar.source("cobol")
    assert "python" in (caught.value.hint or "")
