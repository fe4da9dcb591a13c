"""The strategy "properties": laws of Python functions, checked by Hypothesis on inputs of their types.

    round trip    decode(encode(x)) == x, for functions whose names are a pair
    idempotence   f(f(x)) == f(x)
    invariance    f(reversed(x)) == f(x) for a list; len(f(x)) == len(x)
    oracle        f(x) == g(x) for a second implementation g that is given

A law is proposed when it holds on the inputs that the search finds, on at least `ENOUGH` of them, and for at least one
that the function changes. It is stated by the types of the parameters, so functions without types get none.
Source of the catalogue: Claessen and Hughes, "QuickCheck", ICFP 2000, and common practice since.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing.generation import GenerationSettings, Proposal, Target
from agentic_diffusion.testing.generation_search import PATIENCE, START_SECONDS, Explorer, wanted

ENOUGH = 4
"""Inputs on which a law must have held before it is proposed."""
PAIRS = (
    ("encode", "decode"), ("dump", "load"), ("dumps", "loads"), ("pack", "unpack"), ("compress", "decompress"),
    ("serialize", "deserialize"), ("escape", "unescape"), ("quote", "unquote"), ("encrypt", "decrypt"), ("to", "from"),
    ("format", "parse"), ("write", "read"), ("join", "split"),
)  # fmt: skip
"""Words that make two names a pair; the first one's result is the second one's argument."""
STRATEGIES: Mapping[str, str] = {
    "int": "st.integers(-1000, 1000)", "str": "st.text(max_size=20)", "bool": "st.booleans()",
    "float": "st.floats(-1e6, 1e6)", "bytes": "st.binary(max_size=20)", "None": "st.none()",
}  # fmt: skip


class Properties:
    """Laws that hold on what was tried."""

    name = "properties"
    languages = ("python",)

    def propose(self, target: Target, sandbox: Sandbox, settings: GenerationSettings) -> Sequence[Proposal]:
        """Tests that check a property, for Hypothesis of the project."""
        if not {"hypothesis", "pytest"} <= target.project.python.packages:
            raise SetupError(
                f"The Python of the project, {target.project.python.program}, has no hypothesis and pytest.",
                hint="install both there, or use --strategy search.",
            )
        types = parameter_types(read_program(target.project.root / target.path))
        made: list[Proposal] = []
        with Explorer(target, sandbox) as explorer:
            names = {one["name"] for one in explorer.functions}
            for function in wanted(explorer.functions, target):
                name = function["name"]
                kinds = types.get(name)
                drawn = [drawing(kind) for kind in kinds] if kinds is not None else []
                if "." in name or not drawn or any(one is None for one in drawn):
                    continue
                inputs = _inputs(explorer, name, settings)
                laws = _laws(target, name, inputs, names, settings)
                made += [_stated(target, name, law, [one for one in drawn if one]) for law in laws]
        return made


def _inputs(explorer: Explorer, name: str, settings: GenerationSettings) -> list[tuple[list[Any], Any]]:
    """Arguments and values of a function, for the inputs that gave a plain value."""
    order = {"function": name, "seconds": settings.seconds / 2, "seed": settings.seed, "most": settings.most}
    found = explorer.ask({"explore": order}, PATIENCE * settings.seconds + START_SECONDS)["inputs"]
    made = []
    for one in found:
        if "value" in one["outcome"] and not one["outcome"].get("as_list"):
            call = ast.parse(one["call"], mode="eval").body
            if isinstance(call, ast.Call):
                made.append(([ast.literal_eval(word) for word in call.args], ast.literal_eval(one["outcome"]["value"])))
    return made


def _laws(
    target: Target, name: str, inputs: Sequence[tuple[list[Any], Any]], names: set[str], settings: GenerationSettings
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Title, body and functions of every law that is not refuted by what is known."""
    if settings.oracle is not None:
        module, _, other = settings.oracle.partition(":")
        if not module or not other:
            raise UsageError(f"{settings.oracle!r} names no second implementation.", hint="--oracle module:function")
        yield f"agrees_with_{other}", f"assert {name}({{all}}) == {other}({{all}})", (f"from {module} import {other}",)
    known = {repr(arguments): value for arguments, value in inputs}
    single = [(arguments[0], value) for arguments, value in inputs if len(arguments) == 1]
    if len(single) != len(inputs) or len(single) < ENOUGH:
        return
    changed = [value for argument, value in single if value != argument]
    twice = [known[repr([value])] == value for _, value in single if repr([value]) in known]
    if changed and len(twice) >= ENOUGH // 2 and all(twice) and all(type(a) is type(v) for a, v in single):
        yield "is_idempotent", f"once = {name}({{all}})\nassert {name}(once) == once", ()
    lists = [(argument, value) for argument, value in single if isinstance(argument, list)]
    turned = [
        known[repr([argument[::-1]])] == value
        for argument, value in lists
        if repr([argument[::-1]]) in known and argument != argument[::-1]
    ]
    if len(lists) == len(single) and turned and all(turned):
        yield "does_not_depend_on_order", f"assert {name}({{all}}[::-1]) == {name}({{all}})", ()
    sized = [
        (len(argument), len(value))
        for argument, value in single
        if isinstance(argument, str | list) and isinstance(value, str | list)
    ]
    if len(sized) == len(single) and changed and all(before == after for before, after in sized):
        yield "keeps_the_length", f"assert len({name}({{all}})) == len({{all}})", ()
    yield from _round_trips(target, name, names)


def _round_trips(target: Target, name: str, names: set[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for first, second in PAIRS:
        words = name.split("_")
        other = "_".join(second if word == first else word for word in words)
        if first in words and other in names:
            yield (
                f"round_trip_with_{other}",
                f"assert {other}({name}({{all}})) == {{all}}",
                (f"from {target.module} import {other}",),
            )


def _stated(target: Target, name: str, law: tuple[str, str, tuple[str, ...]], drawn: Sequence[str]) -> Proposal:
    """A law as a test; inputs that the function refuses by ValueError are no counterexamples."""
    title, body, imports = law
    words = [f"value_{place}" for place in range(1, len(drawn) + 1)] if len(drawn) > 1 else ["value"]
    lines = body.replace("{all}", ", ".join(words)).split("\n")
    guarded = ("try:", *(f"    {name}({', '.join(words)})" for _ in (0,)), "except ValueError:", "    reject()", *lines)
    return Proposal(
        name=f"test_{name}_{title}", body=guarded, pins=False, arguments=", ".join(words),
        imports=("from hypothesis import given, reject, settings", "from hypothesis import strategies as st",
                 f"from {target.module} import {name}", *imports),
        decorators=("@settings(deadline=None)", f"@given({', '.join(drawn)})"), shows=frozenset({(name, title)}),
    )  # fmt: skip


def parameter_types(source: str) -> dict[str, list[str]]:
    """The written types of every function at the top whose parameters all have one and need one."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and not node.args.vararg and not node.args.kwonlyargs and node.args.args:
            types = [ast.unparse(one.annotation) if one.annotation else "" for one in node.args.args]
            if all(types):
                found[node.name] = types
    return found


def drawing(kind: str) -> str | None:
    """Hypothesis's strategy for a type as it is written; None for what is not known."""
    if kind in STRATEGIES:
        return STRATEGIES[kind]
    tree = ast.parse(kind, mode="eval").body
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        sides = [drawing(ast.unparse(side)) for side in (tree.left, tree.right)]
        return None if None in sides else f"st.one_of({', '.join(side for side in sides if side)})"
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        inner = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        parts = [part for one in inner if (part := drawing(ast.unparse(one))) is not None]
        return _collection(tree.value.id, parts) if len(parts) == len(inner) else None
    return None


def _collection(kind: str, parts: Sequence[str]) -> str | None:
    makers = {
        "list": "st.lists({0}, max_size=8)", "set": "st.sets({0}, max_size=8)",
        "dict": "st.dictionaries({0}, {1}, max_size=6)",
    }  # fmt: skip
    if kind == "tuple":
        return f"st.tuples({', '.join(parts)})"
    fits = kind in makers and len(parts) == (2 if kind == "dict" else 1)
    return makers[kind].format(*parts) if fits else None


PROPERTIES = Properties()
"""The one object that the entry point names."""
