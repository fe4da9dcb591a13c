"""Malformed bodies: whatever comes, the answer is a 4xx of OpenAI's shape or a plan; never another error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic_diffusion.serve.app import BODIES, openapi
from agentic_diffusion.serve.errors import ApiError
from agentic_diffusion.serve.fields import NEUTRAL, parse, read

TEXT = st.text("ax \0é\ud800", max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), path=st.sampled_from(sorted(BODIES)))
def test_every_body_is_read_or_refused_in_words(data, path):
    fields = BODIES[path]
    names = st.sampled_from([*fields, *NEUTRAL, "user", "odd"])
    body = data.draw(st.dictionaries(names, JSON | st.just("x") | st.just([{"role": "user", "content": "x"}])))
    try:
        values = read(fields, parse(json.dumps(body).encode()))
    except ApiError as problem:
        assert 400 <= problem.status < 500
        told = problem.body()["error"]
        assert told["message"]
        assert set(told) == {"message", "type", "param", "code"}
    else:
        assert set(values) == set(fields)
        for name, one in fields.items():
            if body.get(name) is not None and one.kind in ("integer", "number"):
                assert one.least is None or values[name] >= one.least
                assert one.most is None or values[name] <= one.most


@settings(deadline=None)
@given(data=st.binary(max_size=60) | st.sampled_from([b"[1]", b"{", b"NaN", b'{"a": 1}']))
def test_bytes_that_are_no_object_are_refused(data):
    try:
        assert isinstance(parse(data), dict)
    except ApiError as problem:
        assert problem.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "param", "sentence"),
    [
        ({}, "prompt", "prompt is missing: What to go on from."),
        ({"prompt": 7}, "prompt", "prompt must be a text, a list of texts, or a list of token ids."),
        ({"prompt": "x", "n": 0}, "n", "n is out of range: a number from 1 to 16 is allowed."),
        ({"prompt": "x", "n": True}, "n", "n must be a whole number."),
        ({"prompt": "x", "temperature": 1e400}, None, "The body is not JSON: "),
        ({"prompt": "x", "mode": "fast"}, "mode", "mode must be one of denoise, verify, ar."),
        ({"prompt": "x", "logprobs": 3}, "logprobs", "logprobs is not there on this server."),
        ({"prompt": "x", "promt": "y"}, "promt", "There is no field 'promt' here."),
        ({"prompt": "a\0b"}, "prompt", "prompt holds what is no text."),
        ({"prompt": ["x"] * 17}, "prompt", "prompt has 17 entries; at most 16 are allowed."),
    ],
)
def test_what_is_wrong_is_named(body, param, sentence):
    with pytest.raises(ApiError) as caught:
        read(BODIES["/v1/completions"], parse(json.dumps(body).encode()))
    assert caught.value.param == param
    assert caught.value.message.startswith(sentence)


def test_deep_bodies_and_neutral_values():
    with pytest.raises(ApiError):
        parse(b"[" * 100_000)
    values = read(BODIES["/v1/completions"], {"prompt": "x", "best_of": 1, "user": "me", "logit_bias": {}, "n": None})
    assert values["n"] == 1


def test_the_schema_lists_every_field():
    made = openapi()
    for path, fields in BODIES.items():
        shown = made["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(shown["properties"]) == set(fields)
        assert set(shown.get("required", [])) == {name for name, one in fields.items() if one.required}
