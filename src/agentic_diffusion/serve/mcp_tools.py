"""The tools of the Model Context Protocol: generate, infill, fix, run_tests, plan, recall, over stdin and stdout.

They are the endpoints of `/v1/agd` under other names: the same tables check their arguments, the same functions answer.
What is wrong with a call is told in its result, so that the caller can mend it. Needs the extra `mcp`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

import agentic_diffusion
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.serve.app import SEARCHES
from agentic_diffusion.serve.errors import ApiError, api_error
from agentic_diffusion.serve.fields import Fields, read, schema
from agentic_diffusion.serve.house import House
from agentic_diffusion.serve.searches import Call

TOOLS = {
    "generate": ("generate", "Write a program for a prompt; with tests, one that passes them in a sandbox."),
    "infill": ("infill", "Fill a hole between a prefix and a suffix; with tests, by what passes them."),
    "fix": ("fix", "Repair a program that fails its tests; gives back the program and its diff."),
    "run_tests": ("test", "Run tests against a program in a sandbox; gives back a verdict for each case."),
    "plan": ("plan", "Plan a way through a maze by denoising, and tell whether it arrives."),
    "recall": ("recall", "Verified programs of earlier work whose task is like the query."),
}
"""Tool -> (endpoint below /v1/agd, what it is for)."""
_CLIENT = "mcp"


def make_server(house: House) -> Server[Any]:
    """The protocol's server over a house whose engine was started."""

    async def list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(name) for name in TOOLS])

    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            told = await call(house, params.name, params.arguments or {})
        except AgdError as problem:
            return _failed(api_error(problem))
        except ApiError as problem:
            return _failed(problem)
        text = json.dumps(told, ensure_ascii=False)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=told)

    return Server(
        "agentic-diffusion",
        version=agentic_diffusion.__version__,
        instructions="Code that is verified by tests: hand over tests whenever you can.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def call(house: House, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Answer one call; ApiError or AgdError for what is wrong with it."""
    if name not in TOOLS:
        raise ApiError(404, f"There is no tool {name[:80]!r}; there are {', '.join(TOOLS)}.")
    fields, function = SEARCHES[TOOLS[name][0]]
    values = read(_without_stream(fields), arguments) | {"stream": False}
    work = house.work(_CLIENT, values.get("seconds"))
    return await house.search(work, lambda: function(Call(values, house, work, lambda _: None)))


def serve_stdio(house: House) -> None:
    """Serve until stdin is closed."""

    async def serve() -> None:
        server = make_server(house)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    asyncio.run(serve())


def _tool(name: str) -> Tool:
    endpoint, text = TOOLS[name]
    return Tool(
        name=name,
        description=text,
        input_schema=schema(_without_stream(SEARCHES[endpoint][0])),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


def _without_stream(fields: Fields) -> Fields:
    return {name: one for name, one in fields.items() if name != "stream"}


def _failed(problem: ApiError) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=problem.message)], is_error=True)
