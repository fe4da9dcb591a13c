"""The worker for Lua: runs candidates inside the sandbox, a process each; see the protocol of `Harness`.

    python -I -S worker_lua.py FOLDER      FOLDER holds the package `lupa`

A candidate sees copies of the standard library without `debug`, `io`, `package` and what leaves the program; the tests
see the originals, their own `assert`, and the candidate's names behind them. Standard library and `lupa` only.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import time

sys.path.insert(0, sys.argv[1])

from lupa.lua54 import LuaError, LuaRuntime, LuaSyntaxError

SETUP = """
local load, xpcall, tostring, type, select, pairs = load, xpcall, tostring, type, select, pairs
local setmetatable, getmetatable, rawget, traceback = setmetatable, getmetatable, rawget, debug.traceback
local FAILED = {}
local function copy(from)
  local to = {}
  for key, value in pairs(from) do to[key] = value end
  return to
end
local names = {"assert", "error", "getmetatable", "ipairs", "load", "next", "pairs", "pcall", "print", "rawequal",
  "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall", "_VERSION"}
local libraries = {"string", "table", "math", "utf8", "coroutine"}
local function world()
  local new = {os = {time = os.time, clock = os.clock, date = os.date, difftime = os.difftime}}
  for _, name in pairs(names) do new[name] = _G[name] end
  for _, name in pairs(libraries) do new[name] = copy(_G[name]) end
  new._G = new
  return new
end
local program, tests = world(), world()
getmetatable("").__metatable = false
local given
setmetatable(tests, {__index = function(_, name)
  local found = rawget(program, name)
  if found == nil and type(given) == "table" then found = given[name] end
  return found
end})
tests.require = function(name)
  if name ~= "solution" then error("the tests can require \\"solution\\" alone", 2) end
  return type(given) == "table" and given or program
end
tests.assert = function(...)
  if select("#", ...) == 0 or not (...) then
    local said = select(2, ...)
    error({FAILED, said == nil and "assertion failed" or tostring(said)}, 0)
  end
  return ...
end
local function run(action)
  local ok, problem = xpcall(action, function(problem)
    if type(problem) == "table" and problem[1] == FAILED then return problem end
    return {nil, tostring(problem), traceback()}
  end)
  if ok then return "passed", "", "" end
  if type(problem) ~= "table" then return "error", tostring(problem), "" end
  if problem[1] == FAILED then return "failed", problem[2], "" end
  return "error", problem[2], problem[3]
end
return {
  program = function(source)
    local chunk = load(source, "=solution", "t", program)
    return run(function() given = chunk() end)
  end,
  tests = function(source, case)
    tests.__case = case
    return run(load(source, "=tests", "t", tests))
  end,
  case = function(action)
    if type(action) == "string" then action = rawget(tests, action) end
    return run(action)
  end,
}
"""
PROBLEM = re.compile(r'\[string "[^\n]*"\]:(\d+): (.*)', re.DOTALL)
PLACE = re.compile(r"\bsolution:(\d+):")
OUT_OF_MEMORY = "not enough memory"


def wrapped(suite: str, cases: list[dict], lua: LuaRuntime) -> str:
    """The tests with every asserting statement as `__case(number, function() ... end)`, on the lines it had."""
    lines = suite.split("\n")
    for number, case in enumerate(cases):
        first = case["line"] - 1
        end = next(end for end in range(first + 1, len(lines) + 1) if compiles(lua, "\n".join(lines[first:end])))
        if lines[first].lstrip().startswith("function"):
            lines.append(f"__case({number}, {case['name']!r})")
        else:
            lines[first] = f"__case({number}, function() {lines[first]}"
            lines[end - 1] += "\n end)" if "--" in lines[end - 1] else " end)"
    return "\n".join(lines)


def compiles(lua: LuaRuntime, source: str) -> bool:
    try:
        lua.compile(source)
    except LuaSyntaxError:
        return False
    return True


def new_lua(memory_bytes: int = 0) -> LuaRuntime:
    return LuaRuntime(
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=True,
        max_memory=memory_bytes or None,
        attribute_filter=lambda *_: (_ for _ in ()).throw(AttributeError("not here")),
    )


def outcome(case: int, status: str, message: str, trace: str, seconds: float) -> dict:
    """One outcome as the protocol wants it."""
    if status == "error" and OUT_OF_MEMORY in message:
        status = "memory"
    place = PLACE.search(message) or PLACE.search(trace)
    kind = {"failed": "AssertionError", "error": "LuaError", "memory": "MemoryError"}.get(status)
    line = int(place[1]) if place and status == "error" else None
    return {"case": case, "status": status, "message": message[:500], "type": kind, "line": line, "seconds": seconds}


def run_candidate(source: str, suite: str, count: int, memory_bytes: int, pipe: int) -> None:
    """In the child: run program and tests, and write a line when a case begins and one when it has ended."""
    lua = new_lua(memory_bytes)
    parts = lua.execute(SETUP)
    said = set()

    def tell(record: dict) -> None:
        os.write(pipe, json.dumps(record).encode() + b"\n")

    def case(number: int, action: object) -> None:
        tell({"begins": number})
        begun = time.monotonic()
        status, message, trace = parts.case(action)
        said.add(number)
        tell(outcome(number, status, message, trace, time.monotonic() - begun))

    try:
        status, message, trace = parts.program(source)
        if status == "passed":
            status, message, trace = parts.tests(suite, case)
    except LuaError as error:
        status, message, trace = "error", str(error), ""
    for number in range(count):
        if number not in said:
            tell(
                outcome(number, status if status != "passed" else "error", message or "it was not reached", trace, 0.0)
            )


def judged(source: str, suite: str, order: dict, request: dict) -> list[dict]:
    """Run a candidate in a child, kill it when a case or all of them take too long; its outcomes."""
    count = len(order["cases"])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(3)
        os.close(4)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        run_candidate(source, suite, count, request["memory_bytes"], writing)
        os._exit(0)
    os.close(writing)
    found, status = collected(reading, count, order["case_seconds"], request["seconds"])
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    why = {"timeout": "it did not end in time", "killed": "its process died"}[status]
    return [found.get(case) or outcome(case, status, why, "", 0.0) for case in range(count)]


def collected(reading: int, count: int, case_seconds: float, seconds: float) -> tuple[dict[int, dict], str]:
    """The outcomes that the child wrote, and what became of the cases without one: timeout or killed."""
    found: dict[int, dict] = {}
    text, end = b"", time.monotonic() + seconds
    case_end = end
    while len(found) < count:
        left = min(end, case_end) - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return found, "timeout"
        piece = os.read(reading, 1 << 16)
        if not piece:
            return found, "killed"
        *lines, text = (text + piece).split(b"\n")
        for record in map(json.loads, lines):
            if "begins" in record:
                case_end = time.monotonic() + case_seconds
            else:
                found.setdefault(record["case"], record)
                case_end = end
    return found, "killed"


def main() -> None:
    lua = new_lua()
    requests = open(3, encoding="utf-8", closefd=False)  # noqa: SIM115  (a descriptor, open to the end)

    def answer(record: dict) -> None:
        os.write(4, json.dumps(record).encode() + b"\n")

    order: dict = {}
    suite = ""
    for line in requests:
        request = json.loads(line)
        if "open" in request:
            order = request["open"]
            suite = wrapped(order["suite"], order["cases"], lua)
            answer({"ready": True})
            continue
        for candidate in request["judge"]:
            reply = {"id": candidate["id"], "nonce": request["nonce"], "problem": None, "outcomes": []}
            try:
                lua.compile(candidate["source"])
                reply["outcomes"] = judged(candidate["source"], suite, order, request)
            except LuaSyntaxError as error:
                found = PROBLEM.match(str(error))
                place, message = (int(found[1]), found[2]) if found else (1, str(error))
                reply["problem"] = {"line": place, "column": 1, "message": message}
            answer(reply)
        answer({"done": request["nonce"], "clean": True})


if __name__ == "__main__":
    main()
