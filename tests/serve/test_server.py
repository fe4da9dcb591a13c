"""What the server refuses: strangers, floods, giants and the malformed; what leaves it; what never gets into a log."""

import concurrent.futures
import http.client
import json
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_house import Served, make_house, start

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ResourceError, UsageError
from agentic_diffusion.serve.app import BODIES
from agentic_diffusion.serve.server import guard_settings, listen, read_token, running
from tiny_coder import ADD_ONE_TEST

TOKEN = "a-token-of-many-letters"
TEXT = "def f(x"


@pytest.fixture
def strict(taught_coder, tmp_path):
    """A server with a token, little patience and a short queue."""
    house = make_house(taught_coder, tmp_path, engine={"rows": 1, "queue": 2, "queue_per_client": 2}, seconds=60.0)
    server, url = start(house, token=TOKEN, body_bytes=2000, per_minute=1000)
    with running(server):
        yield Served(url, house)


def _error(told) -> dict:
    error = json.loads(told[2])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_token_is_needed_where_one_is_set(strict):
    status, headers, _ = told = strict.get("/v1/models")
    assert (status, _error(told)["type"]) == (401, "authentication_error")
    assert headers["www-authenticate"] == "Bearer"
    assert strict.get("/v1/models", {"Authorization": "Bearer wrong"})[0] == 401
    assert strict.get("/v1/models", {"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert strict.get("/health")[0] == strict.get("/ready")[0] == strict.get("/")[0] == 200
    assert strict.get("/metrics")[0] == 401


def test_sizes_types_and_queues_have_limits(strict):
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert strict.post("/v1/completions", {"prompt": "x" * 3000}, own)[0] == 413
    assert strict.post("/v1/completions", b"{}", own | {"Content-Type": "text/plain"})[0] == 415
    told = strict.post("/v1/completions", {"prompt": "x", "max_tokens": 5000}, own)
    assert told[0] == 400
    assert "together at most 250 fit" in _error(told)["message"]
    gate = threading.Event()
    blocker = threading.Thread(target=lambda: strict.house.coder.engine.call(lambda: gate.wait(60)))
    blocker.start()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        body = {"prompt": TEXT, "max_tokens": 2}
        taken = [pool.submit(strict.post, "/v1/completions", body, own) for _ in range(2)]
        while strict.house.coder.engine.load < 2:
            time.sleep(0.01)
        told = strict.post("/v1/completions", body, own)
        gate.set()
        assert (told[0], _error(told)["code"]) == (429, "queue_full")
        assert int(told[1]["retry-after"]) > 0
        assert [one.result()[0] for one in taken] == [200, 200]
    blocker.join()


def test_a_client_that_leaves_frees_its_place(strict):
    engine = strict.house.coder.engine
    link = http.client.HTTPConnection(strict.url.removeprefix("http://"))
    gate = threading.Event()
    blocker = threading.Thread(target=lambda: engine.call(lambda: gate.wait(60)))
    blocker.start()
    body = json.dumps({"prompt": TEXT, "max_tokens": 200, "temperature": 1.5, "stream": True, "mode": "ar"})
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    link.request("POST", "/v1/completions", body, headers)
    while engine.load < 1:
        time.sleep(0.01)
    link.close()
    gate.set()
    blocker.join()
    until = time.monotonic() + 60
    while engine.load and time.monotonic() < until:
        time.sleep(0.02)
    assert engine.load == 0
    assert engine.row_forwards < 200


def test_requests_a_minute_are_counted(taught_coder, tmp_path):
    house = make_house(taught_coder, tmp_path)
    server, url = start(house, per_minute=1)
    with running(server):
        served = Served(url, house)
        assert served.get("/v1/models")[0] == 200
        status, headers, _ = served.get("/v1/models")
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        assert served.get("/health")[0] == 200


def test_foreign_names_and_paths_are_refused(served):
    assert served.get("/v1/models", {"Host": "evil.example"})[0] == 403
    assert served.get("/v1/models", {"Host": "localhost:80"})[0] == 200
    assert served.get("/nothing")[0] == 404
    assert served.get("/v1/completions")[0] == 405
    assert served.get("/page/../app.py")[0] == served.get("/page/%2e%2e%2fapp.py")[0] == 404
    for name in ("../secret.py", "/etc/passwd", "folder/../../secret.py"):
        told = served.post("/v1/agd/test", {"program": "x = 1", "tests_file": name})
        assert told[0] == 400
        assert "lies outside the server's folder" in _error(told)["message"]
    (served.house.root / "f_test.py").write_text(ADD_ONE_TEST)
    told = served.json("/v1/agd/test", {"program": "def f(x):\n    return 2\n", "tests_file": "f_test.py"})
    assert told[1]["ok"]


def test_neither_secrets_nor_programs_get_into_the_log(strict, capsys):
    events.configure(style="json", level="debug", run_id="test")
    try:
        strict.get("/v1/models", {"Authorization": "Bearer a-wrong-secret"})
        strict.post("/v1/completions", {"prompt": "secret_text", "max_tokens": 1}, {"Authorization": f"Bearer {TOKEN}"})
        lines, until = "", time.monotonic() + 60
        while '"endpoint": "/v1/completions"' not in lines and time.monotonic() < until:
            lines += capsys.readouterr().err  # the line follows the answer
    finally:
        events.configure(style="human", level="warning", run_id="")
    assert '"endpoint": "/v1/completions"' in lines
    assert not any(word in lines for word in (TOKEN, "a-wrong-secret", "secret_text"))


PLAIN = st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from([0.5, -1e300, "", "x", "go", "\ud800"])
ENTRY = st.dictionaries(st.sampled_from(["role", "content", "x", "language", "fence"]), PLAIN, max_size=2)
JSON = PLAIN | ENTRY | st.lists(PLAIN | ENTRY, max_size=2)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), path=st.sampled_from(sorted(BODIES)))
def test_malformed_requests_never_break_the_server(served, data, path):
    """Bodies out of the schema's names: needed fields are mostly there, so that many pass the first look."""
    fields = BODIES[path]
    small = {"seconds": 0.2, "max_tokens": 2, "max_completion_tokens": 2, "candidates": 1, "steps": 1, "maze": "umaze"}
    body = {name: value for name, value in small.items() if name in fields}
    if data.draw(st.integers(0, 3)):
        talk = [{"role": "user", "content": "x"}]
        needed = [name for name, one in fields.items() if one.required]
        body |= {name: talk if fields[name].kind == "messages" else "x = 1" for name in needed}
    names = st.sampled_from([name for name in fields if name not in small] + ["odd", "logprobs"])
    body |= data.draw(st.dictionaries(names, JSON, max_size=3))
    status, _, answer = served.post(path, json.dumps(body).encode())
    assert status < 500 or (status == 503 and b'"unavailable"' in answer), (status, body, answer)
    if status >= 400:
        assert json.loads(answer)["error"]["message"]


def test_an_address_beyond_the_loopback_needs_a_token(tmp_path):
    with pytest.raises(
        UsageError, match=r"The address 0.0.0.0 can be reached from other machines, and no token is set"
    ):
        guard_settings(host="0.0.0.0", token=None, body_bytes=1, per_minute=1)
    assert guard_settings(host="0.0.0.0", token=TOKEN, body_bytes=1, per_minute=1).hosts == ()
    path = tmp_path / "token"
    path.write_text("short\n")
    with pytest.raises(UsageError, match="is no token: at least 16 printable characters"):
        read_token(path)
    path.write_text(f"{TOKEN}\nmore")
    assert read_token(path) == TOKEN
    with pytest.raises(UsageError, match="The token cannot be read from"):
        read_token(tmp_path / "none")
    taken = listen("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(ResourceError, match="cannot be listened on"):
        listen("127.0.0.1", taken.getsockname()[1])
    taken.close()
