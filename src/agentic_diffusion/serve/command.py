"""`agd serve`: load the model, choose the sandbox, open the socket, serve; or speak MCP on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, SetupError, UsageError
from agentic_diffusion.foundation.settings import (
    GenerateSettings,
    ModelSettings,
    SandboxSettings,
    ServeSettings,
    StoreSettings,
)

if TYPE_CHECKING:
    from agentic_diffusion.serve.house import House

app = App(name="serve", help="Serve the model: an API like OpenAI's, a page that shows the denoising, tools over MCP.")


@app.default
def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    token_file: str | None = None,
    root: str | None = None,
    rows: int | None = None,
    mcp: Annotated[bool, Parameter(negative="")] = False,
    no_history: Annotated[bool, Parameter(negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Serve until Ctrl-C; then what runs is finished or ended, and exit code 0 follows.

    Parameters
    ----------
    host
        The address that is listened on; any but the loopback needs a token.
    port
        The port; 0 takes a free one.
    token_file
        A file whose first line is the token that clients have to show.
    root
        No file outside this folder is read for a request.
    rows
        Texts that are denoised together.
    mcp
        Speak the Model Context Protocol on stdin and stdout instead of listening on a port.
    no_history
        Record nothing.
    unsafe_no_sandbox
        Always refused: what clients send is run in a sandbox or not at all.

    """
    if unsafe_no_sandbox:
        raise UsageError(
            "The server never runs tests without a sandbox.", hint="leave --unsafe-no-sandbox out; see `agd doctor`."
        )
    flags = {
        "serve.host": host,
        "serve.port": port,
        "serve.token_file": token_file,
        "serve.root": root,
        "serve.rows": rows,
    }
    settings = config.load(flags)
    return _over_stdio(settings, keep=not no_history) if mcp else _over_http(settings, keep=not no_history)


def _over_http(settings: config.Settings, *, keep: bool) -> int:
    from agentic_diffusion.serve.server import guard_settings, listen, read_token, serve_on

    own = settings.section(ServeSettings)
    token = read_token(Path(own.token_file).expanduser() if own.token_file else None)
    guard = guard_settings(host=own.host, token=token, body_bytes=own.body_bytes, per_minute=own.per_minute)
    with listen(own.host, own.port) as sock:
        house = make_house(settings, keep=keep)
        house.coder.engine.start()
        shown = f"[{own.host}]" if ":" in own.host else own.host
        events.say(f"serving {house.name} on http://{shown}:{sock.getsockname()[1]} (Ctrl-C ends)")
        try:
            serve_on(sock, house, guard).run()
        except KeyboardInterrupt:
            events.say("stopped")  # the server has ended in order before it hands the signal on
    return int(ExitCode.DONE)


def _over_stdio(settings: config.Settings, *, keep: bool) -> int:
    try:
        from agentic_diffusion.serve.mcp_tools import serve_stdio
    except ModuleNotFoundError as problem:
        if (problem.name or "").split(".")[0] != "mcp":
            raise
        raise SetupError(
            "The package mcp is needed for --mcp and is not installed.",
            hint="install the extra: pip install 'agentic-diffusion[mcp]', or `agd setup --dev` in a checkout.",
        ) from problem
    house = make_house(settings, keep=keep)
    house.coder.engine.start()
    try:
        serve_stdio(house)
    finally:
        house.stop(1.0)
    return int(ExitCode.DONE)


def make_house(settings: config.Settings, *, keep: bool) -> House:
    """Model, sandbox and records as the settings say; raises SetupError where one of them is missing."""
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.foundation.sandbox import choose
    from agentic_diffusion.planning.model import installed_weights, load_model
    from agentic_diffusion.serve.engine import EngineSettings
    from agentic_diffusion.serve.history import History
    from agentic_diffusion.serve.house import House
    from agentic_diffusion.serve.served_coder import ServedCoder

    own, model = settings.section(ServeSettings), settings.section(ModelSettings)
    root = Path(own.root).expanduser()
    if not root.is_dir():
        raise UsageError(f"The folder {root} does not exist.", hint="name a folder with --root.")
    tier = settings.section(SandboxSettings).tier
    sandbox = choose(only=None if tier == "auto" else tier)
    coder = Coder.for_mode(model, settings.section(GenerateSettings).mode)
    engine = EngineSettings(rows=own.rows, tokens=own.tokens, queue=own.queue, queue_per_client=own.per_client)
    weights = installed_weights()
    return House(
        coder=ServedCoder.over(coder, engine),
        name=model.name if "/" not in model.name else Path(model.name).name,
        sandbox=sandbox,
        history=History(settings.section(StoreSettings).url, keep=keep),
        root=root,
        generate=settings.section(GenerateSettings),
        limits=settings.section(SandboxSettings),
        seconds=own.seconds,
        searches=own.searches,
        planner=None if weights is None else lambda: load_model(weights),
    )
