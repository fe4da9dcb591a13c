"""Generated tasks in five programming languages: head, solution and tests from one `Spec`.

Solutions come in the forms that people write: `loop` (for and if), and `idiom` where the language has one
(a comprehension, or filter and map). The templates are in `task_tables`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from agentic_diffusion.domains.code.task_algebra import Element, Operation, Source, Spec, Value
from agentic_diffusion.domains.code.task_tables import JAVA, TABLES, Table, Type
from agentic_diffusion.foundation.errors import UsageError

Form = Literal["loop", "idiom"]
PARAMETERS: dict[Source, tuple[str, Type]] = {
    "numbers": ("numbers", "ints"), "range": ("n", "int"), "digits": ("n", "int"), "words": ("words", "texts"),
    "letters": ("text", "text"),
}  # fmt: skip
"""Name and type of the one parameter, by source."""
VARIABLES: dict[Source, str] = {
    "numbers": "number", "range": "i", "digits": "digit", "words": "word", "letters": "letter",
}  # fmt: skip


def signature(spec: Spec, name: str, language: str) -> str:
    """The head of the function, without what opens its body."""
    return _head(spec, name, _table(language)).rstrip("{: ").rstrip()


def solution(spec: Spec, name: str, language: str, form: Form = "loop") -> str:
    """A whole program with the function; UsageError for a language without a table."""
    return program([(spec, name, form)], language)


def program(functions: Sequence[tuple[Spec, str, Form]], language: str) -> str:
    """A whole program with several functions, each a (task, name, form); names must differ."""
    table = _table(language)
    before, after = table.wrap
    code = before + "\n".join(_function(*function, language) for function in functions) + after
    return code.replace("package main\n", f"package main\n{_go_imports(code)}", 1) if language == "go" else code


def _function(spec: Spec, name: str, form: Form, language: str) -> str:
    table = _table(language)
    plain = form == "loop" or language in ("java", "go")
    body = _loop(spec, table) if plain else _idiom(spec, language)
    deep = table.unit if language == "java" else ""
    lines = [_head(spec, name, table), *(table.unit + line for line in body), *([table.close] if table.close else [])]
    return "".join(f"{deep}{line}\n" for line in lines)


def assertion(spec: Spec, name: str, language: str, given: object, value: Value) -> str:
    """One test statement: the function's value for an input."""
    table = _table(language)
    call = table.call.format(name=name, given=literal(given, language, PARAMETERS[spec.source][1]))
    kind: Literal["plain", "equal"] = "equal" if spec.result in ("ints", "texts", "text") else "plain"
    if spec.result == "text" and language in ("go", "javascript", "typescript"):
        kind = "plain"
    return table.assertion[kind].format(call=call, value=literal(value, language, spec.result))


def literal(value: object, language: str, kind: Type) -> str:
    """A value as a language writes it."""
    if isinstance(value, list):
        inner: Type = "int" if kind == "ints" else "text"
        items = ", ".join(literal(item, language, inner) for item in value)
        if language == "java":
            return f"List.of({items})" if value else f"List.<{'Integer' if inner == 'int' else 'String'}>of()"
        return f"{_table(language).types[kind]}{{{items}}}" if language == "go" else f"[{items}]"
    if isinstance(value, bool) and language != "python":
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else str(value)


def _table(language: str) -> Table:
    if language not in TABLES:
        raise UsageError(f"There are no templates for {language!r}.", hint=f"Use {', '.join(TABLES)}.")
    return TABLES[language]


def _head(spec: Spec, name: str, table: Table) -> str:
    parameter, kind = PARAMETERS[spec.source]
    return table.head.format(name=name, p=parameter, type=table.types[kind], result=table.types[spec.result])


def _element(table: Table, element: Element) -> str:
    """The type of an element; inside a Java list it is boxed."""
    return "Integer" if table is JAVA and element == "int" else table.types[element]


def _fill(template: str, operation: Operation | None = None, **names: str) -> str:
    constant = operation.constants[0] if operation and operation.constants else ""
    shown = json.dumps(constant) if isinstance(constant, str) else str(constant)
    return template.format(c=shown, **names)


def _condition(spec: Spec, table: Table, variable: str) -> str:
    tests = [_fill(table.tests[test.name], test, x=variable) for test in spec.tests]
    return f" {table.words[spec.joint == 'or']} ".join(tests)


def _value(spec: Spec, table: Table, variable: str) -> str:
    if spec.mapping is None:
        return variable
    return _fill(table.mappings[spec.mapping.name], spec.mapping, x=variable).replace("- -", "+ ")


def _loop(spec: Spec, table: Table) -> list[str]:
    """The body with a loop: gather, arrange, fold."""
    parameter, variable = PARAMETERS[spec.source][0], VARIABLES[spec.source]
    kind = _element(table, spec.element)
    lines = [table.start.format(type=kind)]
    lines += [line.format(x=variable, p=parameter) for line in table.open[spec.source]]
    add = table.add.format(value=_value(spec, table, variable))
    if spec.tests:
        lines.append(table.unit + table.test.format(test=_condition(spec, table, variable)))
        lines.append(2 * table.unit + add)
        lines += [table.unit + table.close] if table.close else []
    else:
        lines.append(table.unit + add)
    lines += [table.close] if table.close else []
    if spec.arrange is not None:
        lines += [_fill(line, spec.arrange, type=kind) for line in table.arrange[spec.arrange.name]]
    return lines + [_fill(line, spec.fold) for line in table.folds[spec.fold.name]]


def _idiom(spec: Spec, language: str) -> list[str]:
    """The body without a loop, in Python, JavaScript and TypeScript."""
    table = _table(language)
    parameter, variable = PARAMETERS[spec.source][0], VARIABLES[spec.source]
    value = _value(spec, table, variable)
    if language == "python":
        over = table.open[spec.source][0].format(x=variable, p=parameter).removeprefix("for ").rstrip(":")
        kept = f" if {_condition(spec, table, variable)}" if spec.tests else ""
        first = f"result = [{value} for {over}{kept}]"
    else:
        source = {
            "range": f"Array.from({{ length: {parameter} }}, (_, index) => index + 1)",
            "digits": f'String({parameter}).split("").map(Number)',
            "letters": f'{parameter}.split("")',
        }.get(spec.source, parameter)
        kept = f".filter(({variable}) => {_condition(spec, table, variable)})" if spec.tests else ""
        made = f".map(({variable}) => {value})" if spec.mapping is not None else ""
        copied = source if kept or made or spec.source not in ("numbers", "words") else f"{source}.slice()"
        first = f"let result = {copied}{kept}{made};"
    lines = [first]
    if spec.arrange is not None:
        lines += [_fill(line, spec.arrange) for line in table.arrange[spec.arrange.name]]
    return lines + [_fill(line, spec.fold) for line in table.folds[spec.fold.name]]


def _go_imports(program: str) -> str:
    used = [package for package in ("slices", "strconv", "strings") if f"{package}." in program]
    if not used:
        return ""
    if len(used) == 1:
        return f'\nimport "{used[0]}"\n'
    return "\nimport (\n" + "".join(f'\t"{package}"\n' for package in used) + ")\n"
