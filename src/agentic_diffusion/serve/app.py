"""The application: which path is answered by what. Everything but the page and the probes is JSON.

/                       the page                      /health, /ready      probes
/v1/models              the model                     /metrics             Prometheus
/v1/completions         bare texts, and holes         /openapi.json        the schema of all bodies
/v1/chat/completions    talks
/v1/agd/NAME            generate, infill, fix, test, plan, recall; GET history
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import agentic_diffusion
from agentic_diffusion.foundation.errors import AgdError
from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.serve import completions, mazes, searches, suffixes
from agentic_diffusion.serve.completions import Plan
from agentic_diffusion.serve.errors import ApiError, api_error
from agentic_diffusion.serve.fields import Fields, parse, read, schema
from agentic_diffusion.serve.guard import Guard, GuardSettings, client_of
from agentic_diffusion.serve.house import HEARTBEAT_SECONDS, House, Mailbox, cancelled_when_gone
from agentic_diffusion.serve.served_coder import Work

PAGE = Path(__file__).parent / "page"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
Search = Callable[[searches.Call], dict[str, Any]]
SEARCHES: dict[str, tuple[Fields, Search]] = {
    "generate": (searches.GENERATE, searches.run_generate),
    "infill": (searches.INFILL, searches.run_infill),
    "fix": (searches.FIX, searches.run_fix),
    "test": (searches.TEST, searches.run_tests),
    "recall": (searches.RECALL, searches.run_recall),
    "plan": (mazes.PLAN, lambda call: mazes.run_plan(call.values, call.house)),
}
BODIES: dict[str, Fields] = {
    "/v1/completions": completions.COMPLETION,
    "/v1/chat/completions": completions.CHAT,
} | {f"/v1/agd/{name}": fields for name, (fields, _) in SEARCHES.items()}
"""What every POST takes."""


def make_app(house: House, guard: GuardSettings) -> Guard:
    """The guarded application over a house whose engine was started."""
    app = Application(house, guard.body_bytes)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(house.stop, 5.0)

    routes = [
        Route("/", app.page),
        Route("/page/{name}", app.page),
        Route("/health", app.health),
        Route("/ready", app.ready),
        Route("/metrics", app.metrics),
        Route("/openapi.json", app.openapi),
        Route("/v1/models", app.models),
        Route("/v1/models/{name:path}", app.model),
        Route("/v1/completions", app.completions, methods=["POST"]),
        Route("/v1/chat/completions", app.chat, methods=["POST"]),
        Route("/v1/agd/history", app.history),
        Route("/v1/agd/{name}", app.search, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {ApiError: _api_error, AgdError: _agd_error, HTTPException: _http_error}
    inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    return Guard(inner, guard, house.metrics)


class Application:
    """The endpoints."""

    def __init__(self, house: House, body_bytes: int) -> None:
        """Answer out of a house."""
        self.house, self._body_bytes = house, body_bytes

    async def page(self, request: Request) -> Response:
        """The page and its two files."""
        name = request.path_params.get("name", "index.html")
        files = {path.name: path for path in PAGE.iterdir() if path.suffix in _KINDS}
        if name not in files:
            raise ApiError(404, "There is no such page.", code="not_found")
        return FileResponse(files[name], media_type=_KINDS[files[name].suffix], headers=_POLICY)

    async def health(self, _: Request) -> Response:
        """Whether the process lives."""
        return JSONResponse({"status": "ok", "version": agentic_diffusion.__version__})

    async def ready(self, _: Request) -> Response:
        """Whether it takes work."""
        why = "stopping" if self.house.closing else self.house.coder.engine.failure
        return JSONResponse({"ready": why is None, "why": why}, 200 if why is None else 503)

    async def metrics(self, _: Request) -> Response:
        """What was counted."""
        engine = self.house.coder.engine
        values = {
            "agd_new_tokens_total": engine.new_tokens,
            "agd_forwards_total": engine.forwards,
            "agd_row_forwards_total": engine.row_forwards,
            "agd_prompt_tokens_reused_total": engine.tokens_reused,
            "agd_rows_in_flight": engine.rows_in_flight,
            "agd_jobs": engine.load,
        }
        return PlainTextResponse(self.house.metrics.text(values), media_type="text/plain; version=0.0.4")

    async def models(self, _: Request) -> Response:
        """The one model."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """The model by its name."""
        if request.path_params["name"] != self.house.name:
            raise ApiError(404, "There is no such model; see /v1/models.", param="model", code="model_not_found")
        return JSONResponse(self._model())

    def _model(self) -> dict[str, Any]:
        created = int(self.house.started)
        return {"id": self.house.name, "object": "model", "created": created, "owned_by": "agentic-diffusion"}

    async def openapi(self, _: Request) -> Response:
        """The schema of all bodies."""
        return JSONResponse(openapi())

    async def history(self, _: Request) -> Response:
        """The newest pieces of work."""
        runs = await self.house.in_thread(lambda: self.house.history.newest(50))
        shown = [
            {"id": run.id, "kind": run.kind.removeprefix("serve "), "started": run.started, "asked": run.settings,
             "told": run.summary} for run in runs
        ]  # fmt: skip
        return JSONResponse({"runs": shown})

    async def completions(self, request: Request) -> Response:
        """`/v1/completions`; with a suffix, a hole."""
        values = await self._values(request, completions.COMPLETION)
        if values["suffix"]:
            return await self._suffix(request, values)
        return await self._answer(request, completions.completion_plan(values, self.house))

    async def chat(self, request: Request) -> Response:
        """`/v1/chat/completions`."""
        values = await self._values(request, completions.CHAT)
        return await self._answer(request, completions.chat_plan(values, self.house))

    async def _answer(self, request: Request, plan: Plan) -> Response:
        answer = completions.Answer(plan, self.house, client_of(request.scope))
        if plan.stream:
            return _stream(completions.streamed(answer))
        async with cancelled_when_gone(request.receive, answer.job.cancel):
            return JSONResponse(await completions.whole(answer))

    async def _suffix(self, request: Request, values: Mapping[str, Any]) -> Response:
        work = self.house.work(client_of(request.scope), None)
        call = suffixes.filled(values, self.house, work)
        if values["stream"]:
            return _stream(suffixes.streamed(call, values, work))
        async with cancelled_when_gone(request.receive, work.cancel):
            return JSONResponse(await call)

    async def search(self, request: Request) -> Response:
        """`/v1/agd/NAME`."""
        name = request.path_params["name"]
        if name not in SEARCHES:
            raise ApiError(
                404, f"There is no endpoint of that name; there are {', '.join(SEARCHES)}.", code="not_found"
            )
        fields, function = SEARCHES[name]
        values = await self._values(request, fields)
        work = self.house.work(client_of(request.scope), values.get("seconds"))
        if values.get("stream"):
            return _stream(self._told(function, values, work))
        async with cancelled_when_gone(request.receive, work.cancel):
            told = await self.house.search(work, lambda: function(searches.Call(values, self.house, work, _nobody)))
        return JSONResponse(told)

    async def _told(self, function: Search, values: Mapping[str, Any], work: Work) -> AsyncIterator[str]:
        """A search as server-sent events."""
        mailbox = Mailbox()
        call = searches.Call(values, self.house, work, mailbox.put)
        task = asyncio.create_task(self.house.search(work, lambda: function(call)))
        task.add_done_callback(mailbox.put)
        try:
            while True:
                try:
                    item = await mailbox.get(HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still at work\n\n"
                    continue
                if item is task:
                    break
                yield completions.event(item)
            yield completions.event({"type": "result", **task.result()})
            yield "data: [DONE]\n\n"
        except AgdError as problem:
            yield completions.event(api_error(problem).body())
        finally:
            work.cancel()

    async def _values(self, request: Request, fields: Fields) -> dict[str, Any]:
        """The checked body of a request."""
        if self.house.closing:
            raise ApiError(503, "The server is stopping.", code="unavailable", headers={"Retry-After": "5"})
        return read(fields, parse(await request.body()))


def openapi() -> dict[str, Any]:
    """The schema of all POSTs, from the tables that check them."""
    error = {"description": "What is wrong, in the shape of OpenAI's API."}
    paths = {
        path: {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema(fields)}}},
                "responses": {"200": {"description": "The answer."}, "400": error, "429": error, "503": error},
            }
        }
        for path, fields in BODIES.items()
    }
    info = {"title": "Agentic Diffusion", "version": agentic_diffusion.__version__}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _stream(events: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _nobody(_: dict[str, Any]) -> None:
    """Nobody listens to what happens on the way."""


async def _api_error(_: Request, problem: ApiError) -> Response:
    return JSONResponse(problem.body(), problem.status, headers=problem.headers)


async def _agd_error(request: Request, problem: AgdError) -> Response:
    made = api_error(problem)
    if made.status >= 500:
        get_logger(__name__).warning("%s", problem.message)
    return await _api_error(request, made)


async def _http_error(request: Request, problem: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(problem.status_code)
    return await _api_error(request, ApiError(problem.status_code, f"{problem.detail}.", code=code))
