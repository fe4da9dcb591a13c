"""The five languages of generated tasks as tables of templates: {x} an element, {c} a constant, {p} the parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentic_diffusion.domains.code.task_algebra import Source

Type = Literal["int", "text", "bool", "ints", "texts"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The templates of one language."""

    types: dict[Type, str]
    """Names of types."""
    head: str
    """The head of a function: {name}, {type} and {p} of the parameter, {result}."""
    wrap: tuple[str, str]
    """What stands before and behind the functions of a program."""
    open: dict[Source, tuple[str, ...]]
    """Lines that open the loop over a source, the body one level deeper; {x}, {p}."""
    test: str
    """The line that opens a condition; {test}."""
    close: str
    """The line that closes a loop, a condition or a function; "" for none."""
    start: str
    """The line that makes an empty list; {type} of its elements."""
    add: str
    """The line that appends {value}."""
    tests: dict[str, str]
    """Tests by name."""
    words: tuple[str, str]
    """And, or."""
    mappings: dict[str, str]
    """Mappings by name."""
    arrange: dict[str, tuple[str, ...]]
    """Lines that arrange `result`; {type} of its elements, {c}."""
    folds: dict[str, tuple[str, ...]]
    """Lines that fold `result` and return; {c}."""
    unit: str
    """One level of indentation."""
    assertion: dict[Literal["plain", "equal"], str]
    """A test statement for numbers and truth values, and for texts and lists; {call}, {value}."""
    call: str = "{name}({given})"
    """A call from a test."""


_PYTHON_TESTS = {
    "even": "{x} % 2 == 0", "odd": "{x} % 2 != 0", "positive": "{x} > 0", "negative": "{x} < 0",
    "divisible": "{x} % {c} == 0", "not_divisible": "{x} % {c} != 0", "greater": "{x} > {c}", "smaller": "{x} < {c}",
    "differs": "{x} != {c}", "longer": "len({x}) > {c}", "shorter": "len({x}) < {c}", "starts": "{x}.startswith({c})",
    "ends": "{x}.endswith({c})", "contains": "{c} in {x}", "lacks": "{c} not in {x}", "vowel": '{x} in "aeiou"',
    "no_vowel": '{x} not in "aeiou"', "is": "{x} == {c}", "is_not": "{x} != {c}", "before": "{x} < {c}",
}  # fmt: skip
_NUMBER_TESTS = ("even", "odd", "positive", "negative", "divisible", "not_divisible", "greater", "smaller", "differs")
_NUMBERS = {name: _PYTHON_TESTS[name] for name in _NUMBER_TESTS}
_ARITHMETIC = {
    "square": "{x} * {x}", "cube": "{x} * {x} * {x}", "times": "{x} * {c}", "plus": "{x} + {c}", "minus": "{x} - {c}",
    "negate": "-{x}", "twice": "{x} + {x}", "followed": "{x} + {c}", "preceded": "{c} + {x}",
}  # fmt: skip


def _strict(templates: dict[str, str]) -> dict[str, str]:
    """The same with the comparisons of JavaScript."""
    return {
        name: template.replace("==", "===").replace("!=", "!==").replace("!===", "!==")
        for name, template in templates.items()
    }


PYTHON = Table(
    types={"int": "int", "text": "str", "bool": "bool", "ints": "list[int]", "texts": "list[str]"},
    head="def {name}({p}):",
    wrap=("", ""),
    open={
        "numbers": ("for {x} in {p}:",), "range": ("for {x} in range(1, {p} + 1):",),
        "digits": ("for {x} in map(int, str({p})):",), "words": ("for {x} in {p}:",), "letters": ("for {x} in {p}:",),
    },
    test="if {test}:",
    close="",
    start="result = []",
    add="result.append({value})",
    tests=_PYTHON_TESTS,
    words=("and", "or"),
    mappings=_ARITHMETIC | {
        "absolute": "abs({x})", "distance": "abs({x} - {c})", "length": "len({x})", "upper": "{x}.upper()",
    },
    arrange={
        "reversed": ("result.reverse()",), "ascending": ("result.sort()",),
        "descending": ("result.sort(reverse=True)",),
        "distinct": ("result = list(dict.fromkeys(result))",), "first": ("result = result[:{c}]",),
        "without_first": ("result = result[{c}:]",), "every_second": ("result = result[::2]",),
    },
    folds={
        "list": ("return result",), "sum": ("return sum(result)",),
        "product": ("product = 1", "for value in result:", "    product *= value", "return product"),
        "count": ("return len(result)",), "largest": ("return max(result, default={c})",),
        "smallest": ("return min(result, default={c})",), "any": ("return len(result) > 0",),
        "none": ("return len(result) == 0",), "joined": ("return {c}.join(result)",),
        "longest": ('return max(result, key=len, default="")',),
    },
    unit="    ",
    assertion={"plain": "assert {call} == {value}", "equal": "assert {call} == {value}"},
)  # fmt: skip
JAVASCRIPT = Table(
    types={"int": "number", "text": "string", "bool": "boolean", "ints": "number[]", "texts": "string[]"},
    head="function {name}({p}) {{",
    wrap=("", ""),
    open={
        "numbers": ("for (const {x} of {p}) {{",), "range": ("for (let {x} = 1; {x} <= {p}; {x}++) {{",),
        "digits": ("for (const {x} of String({p}).split(\"\").map(Number)) {{",),
        "words": ("for (const {x} of {p}) {{",),
        "letters": ("for (const {x} of {p}) {{",),
    },
    test="if ({test}) {{",
    close="}",
    start="let result = [];",
    add="result.push({value});",
    tests=_strict(_PYTHON_TESTS) | {
        "longer": "{x}.length > {c}", "shorter": "{x}.length < {c}", "starts": "{x}.startsWith({c})",
        "ends": "{x}.endsWith({c})", "contains": "{x}.includes({c})", "lacks": "!{x}.includes({c})",
        "vowel": '"aeiou".includes({x})', "no_vowel": '!"aeiou".includes({x})',
    },
    words=("&&", "||"),
    mappings=_ARITHMETIC | {
        "absolute": "Math.abs({x})", "distance": "Math.abs({x} - {c})", "length": "{x}.length",
        "upper": "{x}.toUpperCase()", "negate": "0 - {x}",
    },
    arrange={
        "reversed": ("result.reverse();",), "ascending": ("result.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));",),
        "descending": ("result.sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));",),
        "distinct": ("result = Array.from(new Set(result));",), "first": ("result = result.slice(0, {c});",),
        "without_first": ("result = result.slice({c});",),
        "every_second": ("result = result.filter((_, index) => index % 2 === 0);",),
    },
    folds={
        "list": ("return result;",), "sum": ("return result.reduce((sum, value) => sum + value, 0);",),
        "product": ("return result.reduce((product, value) => product * value, 1);",),
        "count": ("return result.length;",),
        "largest": ("return result.length === 0 ? {c} : Math.max(...result);",),
        "smallest": ("return result.length === 0 ? {c} : Math.min(...result);",), "any": ("return result.length > 0;",),
        "none": ("return result.length === 0;",), "joined": ("return result.join({c});",),
        "longest": ("return result.reduce((best, word) => (word.length > best.length ? word : best), \"\");",),
    },
    unit="  ",
    assertion={"plain": "assert.equal({call}, {value})", "equal": "assert.deepEqual({call}, {value})"},
)  # fmt: skip
TYPESCRIPT = Table(
    **{
        **{name: getattr(JAVASCRIPT, name) for name in JAVASCRIPT.__dataclass_fields__},
        "head": "function {name}({p}: {type}): {result} {{",
        "start": "let result: {type}[] = [];",
    }
)
JAVA = Table(
    types={"int": "int", "text": "String", "bool": "boolean", "ints": "List<Integer>", "texts": "List<String>"},
    head="static {result} {name}({type} {p}) {{",
    wrap=("import java.util.*;\n\nclass Solution {\n", "}\n"),
    open={
        "numbers": ("for (int {x} : {p}) {{",), "range": ("for (int {x} = 1; {x} <= {p}; {x}++) {{",),
        "digits": ("for (char sign : String.valueOf({p}).toCharArray()) {{", "    int {x} = sign - '0';"),
        "words": ("for (String {x} : {p}) {{",),
        "letters": ("for (char sign : {p}.toCharArray()) {{", "    String {x} = String.valueOf(sign);"),
    },
    test="if ({test}) {{",
    close="}",
    start="List<{type}> result = new ArrayList<>();",
    add="result.add({value});",
    tests=_NUMBERS | {
        "longer": "{x}.length() > {c}", "shorter": "{x}.length() < {c}", "starts": "{x}.startsWith({c})",
        "ends": "{x}.endsWith({c})", "contains": "{x}.contains({c})", "lacks": "!{x}.contains({c})",
        "vowel": '"aeiou".contains({x})', "no_vowel": '!"aeiou".contains({x})', "is": "{x}.equals({c})",
        "is_not": "!{x}.equals({c})", "before": "{x}.compareTo({c}) < 0",
    },
    words=("&&", "||"),
    mappings=_ARITHMETIC | {
        "absolute": "Math.abs({x})", "distance": "Math.abs({x} - {c})", "length": "{x}.length()",
        "upper": "{x}.toUpperCase()",
    },
    arrange={
        "reversed": ("Collections.reverse(result);",), "ascending": ("Collections.sort(result);",),
        "descending": ("result.sort(Collections.reverseOrder());",),
        "distinct": ("result = new ArrayList<>(new LinkedHashSet<>(result));",),
        "first": ("result = result.subList(0, Math.min({c}, result.size()));",),
        "without_first": ("result = result.subList(Math.min({c}, result.size()), result.size());",),
        "every_second": (
            "List<{type}> chosen = new ArrayList<>();", "for (int index = 0; index < result.size(); index += 2) {{",
            "    chosen.add(result.get(index));", "}}", "result = chosen;",
        ),
    },
    folds={
        "list": ("return result;",),
        "sum": ("int sum = 0;", "for (int value : result) {{", "    sum += value;", "}}", "return sum;"),
        "product": (
            "int product = 1;", "for (int value : result) {{", "    product *= value;", "}}", "return product;",
        ),
        "count": ("return result.size();",), "largest": ("return result.isEmpty() ? {c} : Collections.max(result);",),
        "smallest": ("return result.isEmpty() ? {c} : Collections.min(result);",),
        "any": ("return !result.isEmpty();",),
        "none": ("return result.isEmpty();",), "joined": ("return String.join({c}, result);",),
        "longest": (
            'String best = "";', "for (String word : result) {{", "    if (word.length() > best.length()) {{",
            "        best = word;", "    }}", "}}", "return best;",
        ),
    },
    unit="    ",
    assertion={"plain": "assert {call} == {value};", "equal": "assert {call}.equals({value});"},
    call="Solution.{name}({given})",
)  # fmt: skip
GO = Table(
    types={"int": "int", "text": "string", "bool": "bool", "ints": "[]int", "texts": "[]string"},
    head="func {name}({p} {type}) {result} {{",
    wrap=("package main\n\n", ""),
    open={
        "numbers": ("for _, {x} := range {p} {{",), "range": ("for {x} := 1; {x} <= {p}; {x}++ {{",),
        "digits": ("for _, sign := range strconv.Itoa({p}) {{", "\t{x} := int(sign - '0')"),
        "words": ("for _, {x} := range {p} {{",),
        "letters": ("for _, sign := range {p} {{", "\t{x} := string(sign)"),
    },
    test="if {test} {{",
    close="}",
    start="result := []{type}{{}}",
    add="result = append(result, {value})",
    tests=_NUMBERS | {
        "longer": "len({x}) > {c}", "shorter": "len({x}) < {c}", "starts": "strings.HasPrefix({x}, {c})",
        "ends": "strings.HasSuffix({x}, {c})", "contains": "strings.Contains({x}, {c})",
        "lacks": "!strings.Contains({x}, {c})", "vowel": 'strings.Contains("aeiou", {x})',
        "no_vowel": '!strings.Contains("aeiou", {x})', "is": "{x} == {c}", "is_not": "{x} != {c}",
        "before": "{x} < {c}",
    },
    words=("&&", "||"),
    mappings=_ARITHMETIC | {
        "absolute": "max({x}, -{x})", "distance": "max({x}-{c}, {c}-{x})", "length": "len({x})",
        "upper": "strings.ToUpper({x})",
    },
    arrange={
        "reversed": ("slices.Reverse(result)",), "ascending": ("slices.Sort(result)",),
        "descending": ("slices.Sort(result)", "slices.Reverse(result)"),
        "distinct": (
            "seen := map[{type}]bool{{}}", "chosen := []{type}{{}}", "for _, value := range result {{",
            "\tif !seen[value] {{", "\t\tseen[value] = true", "\t\tchosen = append(chosen, value)", "\t}}", "}}",
            "result = chosen",
        ),
        "first": ("result = result[:min({c}, len(result))]",),
        "without_first": ("result = result[min({c}, len(result)):]",),
        "every_second": (
            "chosen := []{type}{{}}", "for index := 0; index < len(result); index += 2 {{",
            "\tchosen = append(chosen, result[index])", "}}", "result = chosen",
        ),
    },
    folds={
        "list": ("return result",),
        "sum": ("sum := 0", "for _, value := range result {{", "\tsum += value", "}}", "return sum"),
        "product": ("product := 1", "for _, value := range result {{", "\tproduct *= value", "}}", "return product"),
        "count": ("return len(result)",),
        "largest": ("if len(result) == 0 {{", "\treturn {c}", "}}", "return slices.Max(result)"),
        "smallest": ("if len(result) == 0 {{", "\treturn {c}", "}}", "return slices.Min(result)"),
        "any": ("return len(result) > 0",), "none": ("return len(result) == 0",),
        "joined": ("return strings.Join(result, {c})",),
        "longest": (
            'best := ""', "for _, word := range result {{", "\tif len(word) > len(best) {{", "\t\tbest = word", "\t}}",
            "}}", "return best",
        ),
    },
    unit="\t",
    assertion={"plain": "assert({call} == {value})", "equal": "assert(reflect.DeepEqual({call}, {value}))"},
)  # fmt: skip
TABLES: dict[str, Table] = {
    "python": PYTHON, "javascript": JAVASCRIPT, "typescript": TYPESCRIPT, "java": JAVA, "go": GO,
}  # fmt: skip
