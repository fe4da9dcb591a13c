"""A whole server on the loopback: a tiny model, the real sandbox, a store of its own; and how to speak to it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import openai

TOKENS = 250


@dataclass
class Served:
    """A server that runs."""

    url: str
    house: object

    def client(self, **more) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, **more)

    def get(self, path: str, headers=None):
        return self.send(urllib.request.Request(f"{self.url}{path}", headers=headers or {}))

    def post(self, path: str, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (headers or {})
        return self.send(urllib.request.Request(f"{self.url}{path}", data=data, headers=sent, method="POST"))

    def send(self, request) -> tuple[int, dict, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, dict(answer.headers), answer.read()

    def json(self, path: str, body=None):
        status, _, data = self.get(path) if body is None else self.post(path, body)
        return status, json.loads(data)


def make_house(coder, folder, **changes):
    from agentic_diffusion.foundation.sandbox import choose
    from agentic_diffusion.foundation.settings import GenerateSettings
    from agentic_diffusion.planning.model import PlannerModelSettings, make_model
    from agentic_diffusion.serve.engine import EngineSettings
    from agentic_diffusion.serve.history import History
    from agentic_diffusion.serve.house import House
    from agentic_diffusion.serve.served_coder import ServedCoder

    settings = {"rows": 4, "tokens": TOKENS, "piece": 64} | changes.pop("engine", {})
    planner = make_model(PlannerModelSettings(width=16, mlp=32, layers=1, heads=2), 0)
    values = {
        "coder": ServedCoder.over(coder, EngineSettings(**settings)),
        "name": "tiny",
        "sandbox": choose(),
        "history": History(f"sqlite:///{folder}/served.db"),
        "root": folder,
        "generate": GenerateSettings(mode="verify", max_new_tokens=60, samples=2, temperature=0.7),
        "seconds": 100.0,
        "planner": lambda: planner,
    }
    return House(**(values | changes))


def start(house, **guard):
    """A server in a thread: (server, socket)."""
    from agentic_diffusion.serve.server import guard_settings, listen, serve_on

    house.coder.engine.start()
    sock = listen("127.0.0.1", 0)
    values = {"host": "127.0.0.1", "token": None, "body_bytes": 20_000, "per_minute": 100_000} | guard
    return serve_on(sock, house, guard_settings(**values)), f"http://127.0.0.1:{sock.getsockname()[1]}"
