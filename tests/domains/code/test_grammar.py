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
        (
            "@once\n"
            "async def f(a, b=1, /, *, c):\n"
            "    await g()\n"
            "    async for x in h():\n"
            "        if x: continue\n"
            "        y = await x.k(1)\n"
            "    async with o() as p:\n"
            "        return await p\n"
        ),
        (
            "def f(x):\n"
            "    match x:\n"
            "        case 1 | -2 | 'a':\n"
            "            return 1\n"
            "        case [a, *b] if a:\n"
            "            return b\n"
            "        case Point(0, y=k) | A.B as c if k:\n"
            "            return {'a': k}\n"
            "        case {'a': z}, None:\n"
            "            return z\n"
            "        case _:\n"
            "            match = re.match(x)\n"
            "    if (n := len(x)) > 3 and [*x, n] \\\n"
            "            or match:\n"
            "        print(*x, **{}, sep='a' \\\n"
            "              'b')\n"
            "    return x \\\n"
            "        .y\n"
        ).replace(" | A.B as c", ""),
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
        (
            "import a, { b as c } from 'x';\n"
            "import * as d from 'y'\n"
            "export const e = async (x) => (await x?.y?.(1)) + await c;\n"
            "export default async function f() {\n"
            "  for await (const x of d) { await a(x); }\n"
            "  const g = function* () { const y = yield 1; yield* y }\n"
            "  return { async h() { return await g }, *i() { yield } };\n"
            "}\n"
            "export function* j() { while (1) if (yield) break; }\n"
        ).replace("if (yield) break", "yield 1"),
    ],
    "typescript": [
        "class B extends A {\n  constructor() {\n    super(1);\n  }\n  async f(x: number): Promise<void> {\n  }\n}\n",
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
        (
            "import type { P } from 'p'\n"
            "import * as math from 'math';\n"
            "export function f<T, const U extends T = T>(a: T, b?: U): a is U;\n"
            "export function f(a: any) { return (a satisfies unknown) as unknown as P }\n"
            "@d({ x: 1 })\n"
            "export abstract class A<T = string> extends B.C<T> implements D {\n"
            "  @e() private readonly x?: [...T[], number];\n"
            "  constructor(readonly y: number, z?: (a: T, b?: P) => asserts) { super(y) }\n"
            "  protected abstract g<U>(a: U): U extends T ? U : never;\n"
            "  override async h(): Promise<void> { await this.x }\n"
            "}\n"
            "type F = new <T>(...a: T[]) => { readonly [Key in keyof T]?: T[Key] };\n"
            "export { A, f }\n"
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
        (
            "sealed interface S permits R, Q {}\n"
            "record R<T>(T x, int... y) implements S {\n"
            "    static final int Z = 1;\n"
            "    R { assert x != null; }\n"
            "    int f(int record) { return x.hashCode() + record; }\n"
            "}\n"
            "final class Q implements S {\n"
            "    static String g(int n) {\n"
            "        a: for (;;) break a;\n"
            "        return switch (n) {\n"
            '            case 1, 2 -> "b";\n'
            "            default -> { yield h(n) + 1; }\n"
            "        };\n"
            "    }\n"
            "}\n"
        ).replace(", int... y", ", int y"),
    ],
    "go": [
        "func f(a, b int, c ...string) (x, y int) {\n\treturn\n}\n",
        'func f(a ...int) (int, string) {\n\treturn 1, ""\n}\n',
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
        (
            "package main\n"
            "\n"
            "type N interface {\n\t~int | ~float64\n\tM(...int)\n}\n"
            "\n"
            "func Map[K comparable, V any](m map[K]V, c chan<- int, d <-chan V) []V {\n"
            "\treturn f[K, []V](m, (*[2]byte)(p), g[map[K]V](d))\n"
            "}\n"
            "\n"
            "func (*T) h() {}\n"
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
        "def f():\n    await g()\n",
        "async def f():\n    def g():\n        await h()\n",
        "def f():\n    async for x in y: pass\n",
        "x = 1 \\\n",
        "def f(/, a): pass\n",
        "match x:\n    case _:\n        pass\n    case 1:\n        pass\n",
        "match x:\n    case a | b:\n        pass\n",
    ],
    "javascript": [
        "class A {\n  constructor() {\n    super(1);\n  }\n}\n",
        "class A {\n  get\n  b\n}\n",
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
        "function f() { await x; }",
        "async function f() { g(() => await x); }",
        "async function f(a = await x) {}",
        "await x;",
        "function f() { yield 1; }",
        "a?.b = 1;",
        "a?.b.c++;",
        "{ export const a = 1 }",
        "function f() { import 'x'; }",
        "for await (const x of y) {}",
    ],
    "typescript": [
        "class A {\n  async f(x): any {\n  }\n}\n",
        "class A {\n  export = b;\n}\n",
        "function f(x: { [key: string | number]: any }) {\n}\n",
        "if (x);\n",
        "if (x) y();\nelse if (z);\n",
        "function f(a?: number, b: number) {}",
        "exportfunction f() {}",
        "let x: = 1;",
        "enum E { a = 'b', c }",
        "class A { abstract f(): void; }",
        "class A { { f() } }",
        "class A { async constructor() {} }",
        "function f<T = string, U>(a: U) {}",
        "{ export class A {} }",
        "type A = asserts x is string;",
    ],
    "java": [
        "class A { int f() { if (x) int y = 1; } }",
        "publicclass A {}",
        "class A { int x = 99999999999; }",
        "class A { f = 1; }",
        "record R(int x) { int y; }",
        "recordR(int x) {}",
        "class A permits B {}",
        "non-sealed class A permits B {}",
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
        ("package main\n\nfunc f[T](a T) {}\n"),
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
        "import a from 'b'; let a ;",
        "import { a as b, c } from 'd'\nfunction c() {}",
        "import * as a from 'b'; import a from 'c';",
        "export default 1; export default 2;",
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
        "import { a as b } from 'c'; let a ;",
        "export const a = 1; export default a;",
    ],
)
def test_names_in_scopes_of_their_own_or_that_may_grow_are_not(text):
    assert not early_errors.certain("javascript", text)


def test_keys_and_constructors():
    assert early_errors.certain("typescript", "let a = {b: 1, b: 2")
    assert not early_errors.certain("typescript", "let a = {b: 1, c: {b: 2}")
    assert early_errors.certain("java", "class A { B(")
    assert early_errors.certain("typescript", "let a: Map<b, c> = d, a ;")
    assert early_errors.certain("typescript", "let a = b < c, a ;")
    assert not early_errors.certain("typescript", "let a: Map<string, string> = b; let c: Map<string, string> ;")
    assert not early_errors.certain("typescript", "function a<const B, const C>(b: B): B;\nfunction a(b: any) {")
    assert not early_errors.certain("java", "class A { A(int x) { f(); } void B(")
    assert early_errors.certain("java", "record A(int x) { B {")
    assert not early_errors.certain("java", "record A(int x) { A { if (x > 0) {")
    assert early_errors.certain("typescript", "export { a }\nfrom;")
    assert not early_errors.certain("typescript", "export { a } from 'b';\nlet from = 1;")


def test_an_unknown_language_is_told_the_known_ones():
    with pytest.raises(UsageError, match="no grammar for 'cobol'") as caught:
        grammar.source("cobol")
    assert "python" in (caught.value.hint or "")
