"""The tools of MCP, called by the official client: in this process, and `agd serve --mcp` as one of its own."""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters

from agentic_diffusion.installer import manifest
from agentic_diffusion.serve.mcp_tools import TOOLS, make_server
from tiny_coder import ADD_ONE, ADD_ONE_TEST, save_model, stock_weights

PROGRAM = "def f(x):\n    return x + 1\n"


def _told(result) -> dict:
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


async def _use(server) -> None:
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == set(TOOLS)
        assert tools["generate"].input_schema["required"] == ["prompt"]
        asked = {"prompt": ADD_ONE, "test": [ADD_ONE_TEST], "mode": "ar", "seconds": 60, "max_tokens": 60}
        made = _told(await client.call_tool("generate", asked))
        assert (made["verified"], made["program"]) == (True, PROGRAM)
        judged = _told(await client.call_tool("run_tests", {"program": PROGRAM, "tests": ADD_ONE_TEST}))
        assert judged["ok"]
        found = _told(await client.call_tool("recall", {"query": "number after"}))
        assert found["programs"][0]["program"] == PROGRAM
        wrong = await client.call_tool("fix", {"program": PROGRAM})
        assert wrong.is_error
        assert "There are no tests." in wrong.content[0].text
        wrong = await client.call_tool("generate", {"prompt": "x", "tsts": ""})
        assert wrong.content[0].text == "There is no field 'tsts' here."


def test_the_tools_inside_this_process(served):
    asyncio.run(_use(make_server(served.house)))


def test_the_command_speaks_the_protocol(tmp_path, taught_coder):
    home = tmp_path / "home"
    parent = taught_coder.parent
    save_model(home / "models" / manifest.load().model().name, parent.shape, stock_weights(parent))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGD_")}
    changed = {
        "AGD_HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path), "AGD_MODEL_THREADS": "1", "AGD_GENERATE_MODE": "ar",
        "AGD_MODEL_DTYPE": "float32", "AGD_SERVE_TOKENS": "250",
    }  # fmt: skip
    command = ["-m", "agentic_diffusion", "serve", "--mcp"]
    asyncio.run(_use(StdioServerParameters(command=sys.executable, args=command, env=kept | changed, cwd=tmp_path)))
