"""Rows that ask for a function or fill a hole: HumanEval(+), MBPP(+), MBXP, HumanEval-infilling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentic_diffusion.evaluation import python_rows, stubs
from agentic_diffusion.evaluation.tasks import BenchTask, Call, LeftOutError

if TYPE_CHECKING:
    from agentic_diffusion.evaluation.rows import Row


def humaneval(row: Row) -> BenchTask:
    """HumanEval and HumanEval+: a stub with a docstring, and `def check(candidate)`."""
    prompt, name = row.text("prompt"), row.text("entry_point")
    parts = stubs.take_apart(prompt, name, "python")
    if parts is None:
        raise row.fault(f"its prompt does not define {name}")
    extra = _plus_inputs(row)
    test = row.text("test", default="")
    cases = python_rows.inputs_and_results(test)
    calls = tuple(cases) if cases is not None else stubs.calls_of(test, name, "python")
    if not test and not extra:
        raise row.fault("its field 'test' is missing")
    solution = row.text("canonical_solution", default="")
    return BenchTask(
        id=_name(row),
        language="python",
        text=prompt.strip() if not parts.text else f"{parts.text}",
        signature=parts.signature,
        preamble=parts.preamble,
        prefix=parts.prefix,
        shown=tuple(stubs.example(call, name, "python") for call in calls[:1]) if not parts.text else (),
        entry_point=name,
        tests=python_tests(test, name, calls if cases is not None else None) if test else "",
        calls=calls,
        hidden=extra,
        canonical=prompt + solution if solution else None,
    )


def mbpp(row: Row) -> BenchTask:
    """MBPP and MBPP+: a sentence, a program, assertions."""
    if "base_input" in row.fields:
        return _mbpp_plus(row)
    code = row.text("code")
    tests = row.texts("test_list")
    if not tests:
        raise row.fault("its field 'test_list' is empty")
    name = python_rows.tested_function(code, tests)
    if not name:
        raise LeftOutError(_name(row), "its tests call no function that its program defines")
    text = row.text("text", default="") or row.text("prompt")
    setup = "\n".join(
        part for part in (row.text("test_setup_code", default=""), *_listed(row, "test_imports")) if part.strip()
    )
    cases = python_rows.inputs_and_results(row.text("test", default="")) or []
    return _from_assertions(row, name, text=text, setup=setup, tests=tests, code=code, hidden=tuple(cases))


def mbxp(row: Row) -> BenchTask:
    """MBXP and the many-language HumanEval: a stub in any language, and a test program of the benchmark's make."""
    language, name, prompt = row.text("language").lower(), row.text("entry_point"), row.text("prompt")
    parts = stubs.take_apart(prompt, name, language)
    if parts is None:
        raise row.fault(f"its prompt does not define {name}")
    test = row.text("test")
    calls = stubs.calls_of(test, name, language)
    # Some solutions were written by a model; a row that says of its own that it fails has none.
    solution = row.text("canonical_solution", default="") if row.fields.get("solution_passes") is not False else ""
    return BenchTask(
        id=_name(row),
        language=language,
        text=row.text("description", default="").strip() or parts.text,
        signature=parts.signature,
        preamble=parts.preamble,
        prefix=parts.prefix,
        shown=tuple(stubs.example(call, name, language) for call in calls),
        entry_point=name,
        tests=python_tests(test, name, None) if language == "python" else test,
        calls=calls,
        canonical=prompt + solution + "\n" if solution else None,
    )


def infilling(row: Row) -> BenchTask:
    """HumanEval-infilling: a program with a hole."""
    prefix, suffix, middle = row.text("prompt"), row.text("suffix"), row.text("canonical_solution")
    name, test = row.text("entry_point"), row.text("test")
    parts = stubs.take_apart(prefix + middle + suffix, name, "python")
    return BenchTask(
        id=_name(row),
        language="python",
        kind="infill",
        text=parts.text if parts is not None else "",
        prefix=prefix,
        suffix=suffix,
        entry_point=name,
        tests=python_tests(test, name, None),
        calls=stubs.calls_of(test, name, "python"),
        canonical=prefix + middle + suffix,
    )


def python_tests(test: str, name: str, cases: tuple[Call, ...] | None) -> str:
    """A test file out of `def check(candidate)`: its assertions one by one where it holds nothing else.

    `cases` replaces what the check does; the function's own name is imported, so that one that is called as a built-in
    is seen to be the candidate's.
    """
    head = f"from solution import {name}\n"
    if cases is not None:
        return head + "".join(f"assert {name}({case.arguments}) == {case.expected}\n" for case in cases)
    statements = python_rows.check_statements(test, name)
    if statements:
        return head + "".join(f"{statement}\n" for statement in statements)
    return f"{head}{test.strip()}\n" + ("" if f"check({name})" in test else f"\ncheck({name})\n")


def _mbpp_plus(row: Row) -> BenchTask:
    """MBPP+ as its own package writes it: a docstring as prompt, assertions in one text, inputs without values."""
    words = row.text("prompt").replace('"""', "").strip()
    name, solution = row.text("entry_point"), row.text("canonical_solution")
    text = "\n".join(line for line in words.splitlines() if not line.startswith("assert "))
    tests = [line for line in row.text("assertion").splitlines() if line.strip()]
    return _from_assertions(row, name, text=text, setup="", tests=tests, code=solution, hidden=_plus_inputs(row))


def _from_assertions(
    row: Row, name: str, *, text: str, setup: str, tests: list[str], code: str, hidden: tuple[Call, ...]
) -> BenchTask:
    """A task of the MBPP family."""
    head = python_rows.head_of(code, name)
    return BenchTask(
        id=_name(row),
        language="python",
        text=text.strip(),
        signature=head,
        prefix=head + "\n" if head else "",
        shown=tuple(tests),
        entry_point=name,
        tests="\n".join([f"from solution import {name}", *([setup] if setup else []), *tests]) + "\n",
        calls=python_rows.calls_of(tests, name),
        hidden=hidden,
        canonical=code if code.endswith("\n") else code + "\n",
    )


def _plus_inputs(row: Row) -> tuple[Call, ...]:
    """The inputs that the plus benchmarks add, whose values the canonical solution gives."""
    found = []
    for field in ("base_input", "plus_input"):
        given = row.fields.get(field) or []
        if not isinstance(given, list) or not all(isinstance(item, list) for item in given):
            raise row.fault(f"its field {field!r} is no list of lists of arguments")
        found += [Call(arguments=", ".join(map(repr, item)), expected="") for item in given]
    return tuple(found)


def _listed(row: Row, field: str) -> list[str]:
    return row.texts(field) if field in row.fields else []


def _name(row: Row) -> str:
    """A task's name: numbers are names too."""
    value = row.fields.get("task_id")
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise row.fault("its field 'task_id' is missing or no name")
    return str(value)
