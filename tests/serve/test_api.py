"""The API as the official client of OpenAI sees it, and the endpoints of our own."""

import json
import time

import openai
import pytest

from tiny_coder import ADD_ONE, ADD_ONE_TEST, WRONG, WRONG_TEST

PROGRAM = "def f(x):\n    return x + 1\n"
TEXT = "def f(x"


def _events(data: bytes) -> list[dict]:
    lines = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_models_and_probes(served):
    assert [model.id for model in served.client().models.list()] == ["tiny"]
    assert served.client().models.retrieve("tiny").id == "tiny"
    assert served.json("/health")[1]["status"] == "ok"
    assert served.json("/ready") == (200, {"ready": True, "why": None})
    with pytest.raises(openai.NotFoundError, match="There is no such model"):
        served.client().models.retrieve("other/one")


@pytest.mark.parametrize("mode", ["denoise", "verify", "ar"])
def test_a_completion_is_the_same_whole_and_streamed(served, mode):
    asked = {"model": "tiny", "prompt": TEXT, "max_tokens": 12, "seed": 7, "temperature": 0.8, "n": 2}
    client, more = served.client(), {"extra_body": {"mode": mode}}
    whole = client.completions.create(**asked, **more)
    assert whole.usage.completion_tokens <= 24
    assert whole.usage.prompt_tokens == len(served.house.coder.tokenizer.encode(TEXT))
    assert {choice.finish_reason for choice in whole.choices} <= {"stop", "length"}
    texts = ["", ""]
    usage = None
    for chunk in client.completions.create(**asked, **more, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert usage == whole.usage
    again = client.completions.create(**asked, **more)
    assert [choice.text for choice in again.choices] == texts


def test_stop_sequences_end_a_text_and_are_left_out(served):
    asked = {"model": "tiny", "prompt": TEXT, "max_tokens": 20, "temperature": 0}
    free = served.client().completions.create(**asked).choices[0]
    middle = free.text[len(free.text) // 2 :][:3]
    cut = served.client().completions.create(**asked, stop=["never there", middle]).choices[0]
    assert cut.text == free.text[: free.text.index(middle)]
    assert cut.finish_reason == "stop"


def test_several_prompts_and_token_ids(served):
    ids = served.house.coder.tokenizer.encode(TEXT)
    client, asked = served.client(), {"model": "tiny", "max_tokens": 5, "temperature": 0}
    one = client.completions.create(**asked, prompt=ids).choices[0].text
    many = client.completions.create(**asked, prompt=["x = ", TEXT]).choices
    assert [choice.index for choice in many] == [0, 1]
    assert many[1].text == one


def test_a_chat_answers_in_a_code_fence(served):
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "Say f"}], "max_tokens": 8, "seed": 1}
    whole = served.client().chat.completions.create(**asked)
    said = whole.choices[0].message
    assert said.role == "assistant"
    assert said.content.startswith("```python\n")
    pieces, roles = [], []
    for chunk in served.client().chat.completions.create(**asked, stream=True):
        pieces.append(chunk.choices[0].delta.content or "")
        roles.append(chunk.choices[0].delta.role)
    assert "".join(pieces) == said.content
    assert roles[0] == "assistant"
    assert not any(roles[1:])
    plain = served.client().chat.completions.create(**asked, extra_body={"agd": {"fence": False}})
    assert not plain.choices[0].message.content.startswith("```python\n")
    other = served.client().chat.completions.create(**asked, extra_body={"agd": {"language": "go"}})
    assert other.choices[0].message.content.startswith("```go\n")


def test_steps_tell_provisional_tokens_and_confidence(served):
    body = {"prompt": TEXT, "max_tokens": 10, "stream": True, "mode": "denoise", "threshold": 0.9, "temperature": 0}
    status, headers, data = served.post("/v1/completions", body | {"agd": {"steps": True}})
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    chunks = _events(data)
    steps = [chunk["agd"] for chunk in chunks if "agd" in chunk]
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    known = 0
    for step in steps:
        assert step["from"] == known
        known += len(step["committed"])
        assert len(step["certainty"]) == len(step["committed"])
        assert all(0 <= sure <= 1 for sure in [*step["certainty"], *step["confidence"]])
        assert len(step["positions"]) == len(step["tokens"]) == len(step["confidence"])
        assert all(known < place < known + 4 for place in step["positions"])
    plain = _events(served.post("/v1/completions", body)[2])
    assert not any("agd" in chunk for chunk in plain)
    shown = ["".join(c["choices"][0]["text"] for c in some if c["choices"]) for some in (chunks, plain)]
    assert shown[0] == shown[1]


def test_a_suffix_is_a_hole(served):
    asked = {"model": "tiny", "prompt": "def f(x):\n    return ", "suffix": "\n\nf(1)\n", "max_tokens": 12, "seed": 3}
    whole = served.client().completions.create(**asked)
    assert whole.choices[0].finish_reason == "stop"
    assert "\n" not in whole.choices[0].text
    chunks = served.client().completions.create(**asked, stream=True)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text


def test_generate_verifies_by_tests_and_is_recorded_and_recalled(served):
    body = {"prompt": ADD_ONE, "test": [ADD_ONE_TEST], "mode": "ar", "seconds": 60, "seed": 0}
    status, told = served.json("/v1/agd/generate", body)
    assert status == 200
    assert told["verified"]
    assert told["program"] == PROGRAM
    assert told["sandbox"] == served.house.sandbox.tier
    status, history = served.json("/v1/agd/history")
    newest = history["runs"][0]
    assert (newest["kind"], newest["asked"]["prompt"], newest["told"]["program"]) == ("generate", ADD_ONE, PROGRAM)
    found = served.json("/v1/agd/recall", {"query": "the number after x"})[1]["programs"]
    assert found[0]["program"] == PROGRAM


def test_a_generation_tells_its_steps_and_candidates(served):
    body = {"prompt": WRONG, "test": [WRONG_TEST], "mode": "ar", "candidates": 2, "seconds": 60, "stream": True}
    told = _events(served.post("/v1/agd/generate", body)[2])
    kinds = [one["type"] for one in told]
    assert kinds[0] == "opening"
    assert told[0]["text"] == "def h("
    assert kinds[-1] == "result"
    assert {"step", "candidate"} <= set(kinds)
    assert not told[-1]["verified"]
    words = [piece for one in told if one["type"] == "step" for row in one["rows"] for piece in row["committed"]]
    assert "".join(words).startswith("x):\n    y = x\n")


def test_infill_and_fix_and_test(served):
    status, told = served.json(
        "/v1/agd/infill",
        {"prefix": "def f(x):\n    return ", "suffix": "\n", "candidates": 2, "seed": 0, "max_tokens": 12},
    )
    assert status == 200
    assert told["program"] == "def f(x):\n    return " + told["filling"] + "\n"
    body = {"program": "def f(x):\n    return x + 2\n", "tests": "assert f(1) == 2\nassert f(4) == 5\n"}
    status, told = served.json("/v1/agd/fix", body | {"seconds": 1.5, "seed": 0, "candidates": 1})
    assert status == 200
    assert told["state"] in ("unchanged", "improved", "repaired")
    assert (told["diff"] == "") == (told["program"] == body["program"])
    judged = served.json("/v1/agd/test", {**body, "program": PROGRAM})[1]
    assert (judged["ok"], judged["passed"], judged["total"]) == (True, 2, 2)
    judged = served.json("/v1/agd/test", body)[1]
    assert (judged["ok"], [case["status"] for case in judged["cases"]]) == (False, ["failed", "failed"])


def test_a_plan_is_frames_of_numbers(served):
    body = {"maze": "umaze", "start": "1,2", "goal": "1,1", "candidates": 4, "steps": 3}
    status, told = served.json("/v1/agd/plan", body)
    assert status == 200
    assert len(told["frames"]) == 4
    assert {len(frame) for frame in told["frames"]} == {4}
    assert all(len(place) == 2 for place in told["driven"])
    assert told["walls"][0] == [1] * 5


def test_metrics_are_what_prometheus_reads(served):
    served.client().completions.create(model="tiny", prompt=TEXT, max_tokens=3)
    counted, values, until = 'agd_requests_total{endpoint="/v1/completions",status="200"}', {}, time.monotonic() + 60
    while counted not in values and time.monotonic() < until:  # an answer is counted when it has gone
        text = served.get("/metrics")[2].decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["agd_new_tokens_total"]) > 0
    assert float(values[counted]) > 0
    assert float(values["agd_first_block_seconds_count"]) > 0
    assert float(values["agd_jobs"]) == 0
