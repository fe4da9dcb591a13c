"""The fields of request bodies: one table says what is checked and what the published schema shows.

A body is a JSON object. A field that is absent or null takes its default; one that is unknown, of another kind or out
of its range is an answer 400 that names it. Fields that OpenAI's API knows and that change the text, but that are not
there, are refused; those that only describe the caller are ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from agentic_diffusion.serve.errors import ApiError

Kind = Literal["string", "integer", "number", "boolean", "strings", "prompt", "messages", "object"]
_WORDS: dict[Kind, str] = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "strings": "a text or a list of texts",
    "prompt": "a text, a list of texts, or a list of token ids",
    "messages": "a list of objects with role and content",
    "object": "an object",
}
ROLES = ("system", "developer", "user", "assistant")
IGNORED = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
     "parallel_tool_calls", "reasoning_effort", "verbosity", "tool_choice", "function_call"}
)  # fmt: skip
"""What says nothing about the text."""
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tools": ([],),
    "functions": ([],),
}
"""What this server cannot do, with the values that ask for nothing."""
_LONGEST_LIST = 128


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a body."""

    kind: Kind
    """What it is."""
    text: str
    """What it is for."""
    default: Any = None
    """Its value where it is absent."""
    required: bool = False
    """Whether it must be there."""
    least: float | None = None
    """Least value of a number."""
    most: float | None = None
    """Most of a number; most entries of a list."""
    choices: tuple[str, ...] = ()
    """The texts that are allowed."""

    def schema(self) -> dict[str, Any]:
        """The field in JSON Schema."""
        number = {key: value for key, value in (("minimum", self.least), ("maximum", self.most)) if value is not None}
        texts = {"type": "array", "items": {"type": "string"}, "maxItems": int(self.most or _LONGEST_LIST)}
        ids = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
        message = {
            "type": "object",
            "required": ["role", "content"],
            "properties": {"role": {"enum": list(ROLES)}, "content": {"type": "string"}},
        }
        shapes: dict[Kind, dict[str, Any]] = {
            "string": {"type": "string"} | ({"enum": list(self.choices)} if self.choices else {}),
            "integer": {"type": "integer"} | number,
            "number": {"type": "number"} | number,
            "boolean": {"type": "boolean"},
            "strings": {"anyOf": [{"type": "string"}, texts]},
            "prompt": {"anyOf": [{"type": "string"}, texts | {"minItems": 1}, ids]},
            "messages": {"type": "array", "items": message, "minItems": 1, "maxItems": 1000},
            "object": {"type": "object"},
        }
        return shapes[self.kind] | {"description": self.text}


Fields = dict[str, Field]


def schema(fields: Fields) -> dict[str, Any]:
    """A body in JSON Schema."""
    needed = [name for name, one in fields.items() if one.required]
    shown = {name: one.schema() for name, one in fields.items()}
    return {"type": "object", "properties": shown} | ({"required": needed} if needed else {})


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object that a body holds; ApiError for anything else."""
    try:
        body = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise ApiError(400, f"The body is not JSON: {str(problem)[:200]}.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body is no JSON object.", code="invalid_json")
    return body


def read(fields: Fields, body: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all fields, checked; ApiError names the first that is wrong."""
    for name, value in body.items():
        if name in fields or name in IGNORED:
            continue
        if name in NEUTRAL:
            if value is None or value in NEUTRAL[name]:
                continue
            raise ApiError(400, f"{name} is not there on this server.", param=name, code="unsupported_parameter")
        raise ApiError(400, f"There is no field {name[:80]!r} here.", param=name[:80], code="unknown_parameter")
    values = {}
    for name, one in fields.items():
        value = body.get(name)
        if value is None:
            if one.required:
                raise ApiError(400, f"{name} is missing: {one.text}", param=name, code="missing_required_parameter")
            values[name] = one.default
        else:
            values[name] = _checked(name, one, value)
    return values


def _checked(name: str, one: Field, value: Any) -> Any:
    """The value in its plain form."""
    fits = {
        "string": lambda: isinstance(value, str),
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": lambda: isinstance(value, bool),
        "strings": lambda: isinstance(value, str) or _texts(value),
        "prompt": lambda: isinstance(value, str) or (bool(value) and (_texts(value) or _ids(value))),
        "messages": lambda: _is_list(value) and bool(value) and all(isinstance(entry, dict) for entry in value),
        "object": lambda: isinstance(value, dict),
    }[one.kind]()
    if not fits:
        raise ApiError(400, f"{name} must be {_WORDS[one.kind]}.", param=name, code="invalid_type")
    if one.kind in ("integer", "number"):
        _check_range(name, one, value)
    if one.choices and value not in one.choices:
        raise ApiError(400, f"{name} must be one of {', '.join(one.choices)}.", param=name, code="invalid_value")
    if one.kind == "strings":
        value = [value] if isinstance(value, str) else list(value)
    most = int(one.most or _LONGEST_LIST)
    if one.kind in ("strings", "prompt") and not isinstance(value, str) and not _ids(value) and len(value) > most:
        raise ApiError(400, f"{name} has {len(value)} entries; at most {most} are allowed.", param=name)
    if one.kind == "messages":
        return [_message(name, entry) for entry in value]
    _check_text(name, value)
    return value


def _check_range(name: str, one: Field, value: float) -> None:
    least, most = one.least, one.most
    if (isinstance(value, float) and not math.isfinite(value)) or not (
        (least is None or value >= least) and (most is None or value <= most)
    ):
        span = f"from {least:g} " if least is not None else ""
        raise ApiError(
            400,
            f"{name} is out of range: a number {span}to {most} is allowed." if most is not None
            else f"{name} is out of range: a number {span}on is allowed.",
            param=name, code="invalid_value",
        )  # fmt: skip


def _message(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """One message of a chat; content may be given in parts of text."""
    role, content = entry.get("role"), entry.get("content")
    if role not in ROLES:
        raise ApiError(400, f"A role in {name} must be one of {', '.join(ROLES)}.", param=name, code="invalid_value")
    if _is_list(content):
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise ApiError(400, f"A content in {name} may only have parts of text.", param=name, code="invalid_type")
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise ApiError(400, f"A content in {name} must be a text.", param=name, code="invalid_type")
    _check_text(name, content)
    return {"role": str(role), "content": content}


def _check_text(name: str, value: Any) -> None:
    """NUL and halves of surrogate pairs are no text."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and ("\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)):
            raise ApiError(400, f"{name} holds what is no text.", param=name, code="invalid_value")


def _texts(value: Any) -> bool:
    return _is_list(value) and all(isinstance(entry, str) for entry in value)


def _ids(value: Any) -> bool:
    return (
        _is_list(value)
        and bool(value)
        and all(isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0 for entry in value)
    )


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
