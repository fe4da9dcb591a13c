"""Looks for inputs of Python functions, inside the sandbox: `python worker_explore.py`.

Speaks lines on descriptors 3 and 4:

    {"open": ...}   as in worker_project                                              ->  {"ready": true}
    {"load": {"target": path, "module": name}}
        ->  {"functions": [{"name", "line", "last", "parameters"}], "broken": text}
    {"explore": {"function": name, "seconds": s, "seed": n, "most": n}}
        ->  {"inputs": [{"call": text, "outcome": {...}, "arcs": [[from, to]], "size": n}]}
    {"distinguish": [{"id", "original", "statement", "first", "line"}]}     ->  {"by": {id: [number of input]}}

An input is a list of plain values, one a parameter. They are seeded from the types of the parameters and the literals
of the function, and changed at random; kept are those that take a new jump, and a share of the others, which may tell
mutants apart. An outcome is {"value": text}, {"kind": name of a type} for what is no plain value, or {"raises": name}.
Standard library only; imports nothing of this package, which is not visible in here.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import itertools
import json
import os
import random
import signal
import sys
import time
import types
import typing
from collections.abc import Iterator
from typing import Any

REQUEST, REPLY = 3, 4
CALL_SECONDS = 0.2
"""Processor time of one call."""
RESERVE = 150
"""Inputs that are kept although they take no new jump."""
SHRINKS = 80
plain: Any = importlib.import_module("worker_values")
"""The file beside this one; both lie in the worker's own folder."""


class Late(BaseException):
    """A call took too long."""


class Explorer:
    """One module and the inputs of the functions in it."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self.module: Any = None
        self.file = ""
        self.arcs: set[tuple[int, int]] = set()
        self.rng = random.Random(0)  # noqa: S311 - a search, no secret
        self.name = ""
        self.inputs: list[dict[str, Any]] = []
        self.values: list[tuple[list[Any], list[Any]]] = []

    def load(self, order: dict[str, Any]) -> dict[str, Any]:
        """Import the module and say which functions it has."""
        self.file = os.path.join(os.getcwd(), order["target"])
        try:
            self.module = importlib.import_module(order["module"])
        except BaseException as error:
            return {"functions": [], "broken": f"{type(error).__name__}: {error}"}
        self.file = os.path.realpath(self.module.__file__)
        found = [about(name, self.callable_of(name)) for name in self._names()]
        return {"functions": [one for one in found if one is not None], "broken": ""}

    def _names(self) -> Iterator[str]:
        for name, value in vars(self.module).items():
            if getattr(value, "__module__", None) != self.module.__name__ or name.startswith("_"):
                continue
            if inspect.isclass(value) and not issubclass(value, BaseException):
                yield from (f"{name}.{inner}" for inner in vars(value) if not inner.startswith("_"))
            elif inspect.isfunction(inspect.unwrap(value)):
                yield name

    def callable_of(self, name: str) -> Any:
        """The function or method of this name."""
        found = self.module
        for part in name.split("."):
            found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
        return found

    # Search ---------------------------------------------------------------------------------------------------------

    def explore(self, order: dict[str, Any]) -> dict[str, Any]:
        """Inputs of one function."""
        self.rng, self.name = random.Random(order["seed"]), order["function"]  # noqa: S311
        self.inputs, self.values, self.arcs = [], [], set()
        function, owner = self._parts()
        pools = [self._pool(one, function) for one in parameters(function, method=owner is not None)]
        makers = [self._pool(one, owner.__init__) for one in parameters(owner, method=False)] if owner else []
        end, tried = time.process_time() + order["seconds"], set()
        for number, values in enumerate(self._candidates(makers + pools)):
            if time.process_time() > end or number >= order["most"]:
                break
            key = repr(values)
            if key not in tried:
                tried.add(key)
                self._try(values[: len(makers)], values[len(makers) :])
        return {"inputs": self.inputs}

    def _parts(self) -> tuple[Any, Any]:
        """The function, and the class whose instance it needs; None for functions, static and class methods."""
        *outer, _ = self.name.split(".")
        static = self.callable_of(self.name)
        owner = self.callable_of(".".join(outer)) if outer else None
        if isinstance(static, staticmethod | classmethod):
            return getattr(owner, self.name.rpartition(".")[2]), None
        return static, owner

    def _pool(self, parameter: inspect.Parameter, function: Any) -> list[Any]:
        """Values that a parameter may have, by its type, its default and the literals of the function."""
        hints: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            hints = typing.get_type_hints(function)
        literals = plain.literals_of(function)
        found = list(plain.of_type(hints.get(parameter.name), literals))
        if parameter.default is not inspect.Parameter.empty and plain.is_plain(parameter.default):
            found.insert(0, parameter.default)
        return found or [None]

    def _candidates(self, pools: list[list[Any]]) -> Iterator[list[Any]]:
        """First every seed of each parameter, then pairs at random, then changes of what was kept."""
        if not pools:
            yield []
            return
        for place, pool in enumerate(pools):
            for value in pool:
                yield [value if at == place else other[0] for at, other in enumerate(pools)]
        for _ in range(200):
            yield [self.rng.choice(pool) for pool in pools]
        while True:
            base = [*self.rng.choice(self.values)] if self.values and self.rng.random() < 0.8 else None
            values = [*base[0], *base[1]] if base else [self.rng.choice(pool) for pool in pools]
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                place = self.rng.randrange(len(values))
                values[place] = self._changed(values, place, pools[place])
            yield values

    def _changed(self, values: list[Any], place: int, pool: list[Any]) -> Any:
        value, draw = copy.deepcopy(values[place]), self.rng.random()
        alike = [other for at, other in enumerate(values) if at != place and type(other) is type(value)]
        if alike and draw < 0.25:
            return copy.deepcopy(self.rng.choice(alike))
        if draw < 0.4:
            return copy.deepcopy(self.rng.choice(pool))
        return plain.tweaked(value, pool, self.rng)

    def _try(self, making: list[Any], arguments: list[Any]) -> None:
        """Call, and keep the input if it takes a new jump, or as one of the reserve."""
        arcs, outcome = self.call(making, arguments)
        if outcome is None:
            return
        new = arcs - self.arcs
        if not new and len(self.inputs) >= RESERVE:
            return
        if new:
            self.arcs |= arcs
            making, arguments = self._shrunk(making, arguments, arcs, outcome)
            arcs, outcome = self.call(making, arguments)
        again, second = self.call(making, arguments)
        if outcome is None or second != outcome or again != arcs:
            return
        text = self.spoken(making, arguments)
        self.values.append((making, arguments))
        self.inputs.append({"call": text, "outcome": outcome, "arcs": sorted(arcs), "size": len(text)})

    def _shrunk(self, making: list[Any], arguments: list[Any], arcs: Any, outcome: Any) -> tuple[list[Any], list[Any]]:
        """The simplest values found that do the same."""
        values, kind = [*making, *arguments], outcome.get("raises")
        for _ in range(SHRINKS):
            place = self.rng.randrange(len(values)) if values else 0
            simpler = list(plain.smaller(values[place])) if values else []
            if not simpler:
                continue
            tried = [*values]
            tried[place] = self.rng.choice(simpler)
            found, what = self.call(tried[: len(making)], tried[len(making) :])
            if what is not None and found >= arcs and what.get("raises") == kind:
                values = tried
        return values[: len(making)], values[len(making) :]

    def spoken(self, making: list[Any], arguments: list[Any]) -> str:
        """The call as a test writes it."""
        head, _, last = self.name.rpartition(".")
        static = isinstance(self.callable_of(self.name), staticmethod | classmethod) if head else True
        owner = "" if not head else f"{head}." if static else f"{head}({', '.join(map(repr, making))})."
        return f"{owner}{last}({', '.join(map(repr, arguments))})"

    def call(self, making: list[Any], arguments: list[Any]) -> tuple[set[tuple[int, int]], dict[str, Any] | None]:
        """The jumps that one call takes, and its outcome; None for one that took too long."""
        arcs: set[tuple[int, int]] = set()
        before: dict[int, int] = {}

        def enter(frame: types.FrameType, _event: str, _argument: Any) -> Any:
            if frame.f_code.co_filename != self.file:
                return None
            before[id(frame)] = -frame.f_code.co_firstlineno
            return line

        def line(frame: types.FrameType, event: str, _argument: Any) -> Any:
            if event in ("line", "return"):
                place = frame.f_lineno if event == "line" else -frame.f_code.co_firstlineno
                arcs.add((before.get(id(frame), 0), place))
                before[id(frame)] = place
            return line

        signal.setitimer(signal.ITIMER_VIRTUAL, CALL_SECONDS)
        try:
            sys.settrace(enter)
            outcome = self._outcome(copy.deepcopy(making), copy.deepcopy(arguments))
        except Late:
            return set(), None
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return arcs, outcome

    def _outcome(self, making: list[Any], arguments: list[Any]) -> dict[str, Any] | None:
        try:
            function, owner = self._parts()
            value = getattr(owner(*making), self.name.rpartition(".")[2])(*arguments) if owner else function(*arguments)
            if isinstance(value, types.GeneratorType):
                value = ["generator", list(itertools.islice(value, 100))]
        except Exception as error:
            kind = type(error)
            return {"raises": kind.__name__, "module": kind.__module__}
        if plain.is_plain(value) and len(repr(value)) < 400:
            if isinstance(value, list) and value[:1] == ["generator"] and len(value) == 2:
                return {"value": repr(value[1]), "as_list": True}
            return {"value": repr(value)}
        return {"kind": type(value).__name__}

    # Mutants --------------------------------------------------------------------------------------------------------

    def distinguish(self, mutants: list[dict[str, Any]]) -> dict[str, Any]:
        """For every mutant the inputs whose outcome it changes; each is tried in a fork."""
        workers = importlib.import_module("worker_mutants")
        compiled, function_at = workers.compiled, workers.function_at
        functions = list(_functions_of(self.file))
        found: dict[str, list[int]] = {}
        for mutant in mutants:
            with contextlib.suppress(SyntaxError, ValueError):
                old = function_at(compiled(mutant["original"], mutant["first"], self.file, 0), mutant["line"])
                new = function_at(compiled(mutant["statement"], mutant["first"], self.file, 0), mutant["line"])
                if old is None or new is None:
                    continue
                place = (old.co_name, old.co_firstlineno)
                living = [one for one in functions if (one.__code__.co_name, one.__code__.co_firstlineno) == place]
                living = [one for one in living if len(one.__code__.co_freevars) == len(new.co_freevars)]
                if living:
                    found[mutant["id"]] = self._different(living, new)
        return {"by": found}

    def _different(self, living: list[types.FunctionType], code: types.CodeType) -> list[int]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            for function in living:
                function.__code__ = code
            signal.setitimer(signal.ITIMER_PROF, 20 * CALL_SECONDS)
            for number, (making, arguments) in enumerate(self.values):
                signal.setitimer(signal.ITIMER_VIRTUAL, CALL_SECONDS)
                try:
                    outcome = self._outcome(copy.deepcopy(making), copy.deepcopy(arguments))
                except Late:
                    os.write(writing, f"{number}\n".encode())
                    os._exit(0)  # one input on which it does not end tells enough
                if outcome != self.inputs[number]["outcome"]:
                    os.write(writing, f"{number}\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="ascii") as pipe:
            numbers = [int(line) for line in pipe]
        os.waitpid(child, 0)
        return numbers


def _functions_of(file: str) -> Iterator[types.FunctionType]:
    import gc

    return (one for one in gc.get_objects() if isinstance(one, types.FunctionType) and one.__code__.co_filename == file)


def about(name: str, function: Any) -> dict[str, Any] | None:
    """What is told of a function; None for what cannot be called by us."""
    plain = inspect.unwrap(function.__func__ if isinstance(function, staticmethod | classmethod) else function)
    if not inspect.isfunction(plain) or inspect.iscoroutinefunction(plain):
        return None
    lines, first = inspect.getsourcelines(plain)
    names = [one.name for one in parameters(plain, method="." in name and not isinstance(function, staticmethod))]
    return {"name": name, "line": first, "last": first + len(lines) - 1, "parameters": names}


def parameters(function: Any, *, method: bool) -> list[inspect.Parameter]:
    """The parameters that a call by position gives."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in found if one.kind in kinds][int(method) :]


def serve() -> None:
    """Answer lines until there are no more."""
    sys.path.insert(0, os.getcwd())
    project = importlib.import_module("worker_project")
    importlib.import_module("worker_mutants")  # now: later the working folder is another one
    sys.path.pop(0)

    def late(_number: int, _frame: Any) -> None:
        raise Late

    signal.signal(signal.SIGVTALRM, late)
    requests = os.fdopen(os.dup(REQUEST), "rb")
    os.set_inheritable(REQUEST, False)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 0)
    bench, explorer = project.Bench(), Explorer()
    for line in requests:
        [(what, order)] = json.loads(line).items()
        reply = bench.open(order) if what == "open" else getattr(explorer, what)(order)
        data = json.dumps(reply).encode() + b"\n"
        while data:
            data = data[os.write(REPLY, data) :]


if __name__ == "__main__":
    serve()
