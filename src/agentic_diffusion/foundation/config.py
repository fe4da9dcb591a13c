"""The one configuration loader: defaults < TOML files < environment < flags, each value with its origin.

    files         $AGD_CONFIG alone when it is set; else the user's $XDG_CONFIG_HOME/agentic-diffusion/config.toml and
                  the project's ./agd.toml, where the project's file wins
    environment   AGD_<SECTION>_<FIELD>, for example AGD_GENERATE_MODE=ar
    flags         "section.field" -> value, as the command line hands them over; None means not given

    settings = load({"generate.mode": "ar"})
    settings.section(GenerateSettings).mode      # "ar"
    settings.origin("generate.mode")             # "flag --mode"

A section is a frozen dataclass (see `settings.py`), registered by its name. Standard library only.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from agentic_diffusion.foundation import settings as sections
from agentic_diffusion.foundation.errors import ConfigError

T = TypeVar("T")
_PREFIX = "AGD_"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_REGISTRY: dict[str, type[Any]] = {
    "generate": sections.GenerateSettings,
    "sandbox": sections.SandboxSettings,
    "log": sections.LogSettings,
    "store": sections.StoreSettings,
    "model": sections.ModelSettings,
    "serve": sections.ServeSettings,
    "packages": sections.PackagesSettings,
}


@dataclass(frozen=True, kw_only=True)
class _Given:
    """One value with the words that say where it came from."""

    value: object
    origin: str


class Settings:
    """All sections, built and checked, and where each value came from; made by `load`."""

    def __init__(self, built: Mapping[str, object], origins: Mapping[str, str], files: Sequence[Path]) -> None:
        """Keep the built sections by name, the origins by "section.field" and the files that were read."""
        self._built = dict(built)
        self._origins = dict(origins)
        self.files = tuple(files)

    def section(self, cls: type[T]) -> T:
        """The section of this class; raises ConfigError if the class was not registered before `load`."""
        for value in self._built.values():
            if type(value) is cls:
                return value
        raise ConfigError(
            f"The settings class {cls.__name__} belongs to no section.", hint="Call config.register before config.load."
        )

    def origin(self, key: str) -> str:
        """Where "section.field" came from: "default", "file PATH", "environment NAME" or "flag --NAME"."""
        if key not in self._origins:
            raise ConfigError(f"There is no setting {key!r}.", hint=_did_you_mean(key, self._origins))
        return self._origins[key]

    def items(self) -> Iterator[tuple[str, object, str]]:
        """Every setting as ("section.field", value, origin), in the order of declaration."""
        for section, value in self._built.items():
            for item in fields(value):  # type: ignore[arg-type]  # register lets dataclasses in only
                key = f"{section}.{item.name}"
                yield key, getattr(value, item.name), self._origins[key]


def register(section: str, cls: type[Any]) -> None:
    """Add a section: a frozen dataclass whose fields all have defaults; raises ConfigError for a taken name."""
    if not is_dataclass(cls):
        raise ConfigError(f"The section {section!r} is not a dataclass.", hint="Register a frozen dataclass.")
    if _REGISTRY.setdefault(section, cls) is not cls:
        raise ConfigError(f"The section {section!r} exists already.", hint="Choose another name.")


def default_files(environ: Mapping[str, str]) -> list[Path]:
    """The files that are looked at, weakest first; they need not exist, except the one that AGD_CONFIG names."""
    if own := environ.get("AGD_CONFIG"):
        path = Path(own).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"AGD_CONFIG names {own}, which is not a file.",
                hint="Correct AGD_CONFIG, or unset it for the defaults.",
            )
        return [path]
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or "/") / ".config"
    return [base / "agentic-diffusion" / "config.toml", Path("agd.toml")]


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
    files: Iterable[Path] | None = None,
) -> Settings:
    """Read, merge and check all settings.

    `files` are read weakest first (default: `default_files`); those that do not exist are skipped. Raises ConfigError
    for a file that cannot be read, an unknown section or key, a wrong type or a value out of range; the message names
    the origin.
    """
    given: dict[str, _Given] = {}
    read = [path for path in (default_files(environ) if files is None else files) if path.exists()]
    for path in read:
        given |= _from_file(path)
    given |= _from_environment(environ)
    given |= _from_flags(flags or {})
    built = {section: _build(section, cls, given) for section, cls in _REGISTRY.items()}
    origins = {key: given[key].origin if key in given else "default" for key in _known_keys()}
    return Settings(built, origins, read)


def _build(section: str, cls: type[T], given: Mapping[str, _Given]) -> T:
    """One section from what was given for it; a failed check is reported with the origin of the value."""
    own = {item.name: given[key] for item in _fields(cls) if (key := f"{section}.{item.name}") in given}
    try:
        return cls(**{name: value.value for name, value in own.items()})
    except ConfigError as error:
        for name, value in own.items():
            if _wrong_alone(cls, name, value.value):
                raise ConfigError(f"{error.message} It comes from {value.origin}.", hint=error.hint) from error
        origins = ", ".join(f"{name} from {value.origin}" for name, value in own.items())
        raise ConfigError(f"{error.message} In [{section}] came {origins}.", hint=error.hint) from error


def _wrong_alone(cls: type[Any], name: str, value: object) -> bool:
    """Whether one value fails the section's checks beside defaults, so that its origin alone is to be named."""
    try:
        cls(**{name: value})
    except ConfigError:
        return True
    return False


def _from_file(path: Path) -> dict[str, _Given]:
    """The values of one TOML file; raises ConfigError with the file's name."""
    origin = f"file {path}"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", hint="Make it a readable UTF-8 text file.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", hint="Correct that line.") from error
    given = {}
    for section, values in content.items():
        if section not in _REGISTRY:
            raise ConfigError(f"{path} has an unknown section [{section}].", hint=_did_you_mean(section, _REGISTRY))
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: {section} must be a section.", hint=f"Write [{section}] on a line of its own.")
        for name, value in values.items():
            field = _field(f"{section}.{name}", origin)
            given[f"{section}.{name}"] = _Given(value=_typed(value, section, field, origin), origin=origin)
    return given


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    """The values of AGD_<SECTION>_<FIELD>; a near miss of such a name is an error, other AGD_ names are not ours."""
    names = {f"{_PREFIX}{key.replace('.', '_').upper()}": key for key in _known_keys()}
    starts = tuple(f"{_PREFIX}{section.upper()}_" for section in _REGISTRY)
    given = {}
    for name, text in environ.items():
        if name in names:
            key, origin = names[name], f"environment {name}"
            section = key.split(".", 1)[0]
            field = _field(key, origin)
            given[key] = _Given(value=_parsed(text, section, field, origin), origin=origin)
        elif name.startswith(starts) or (
            name.startswith(_PREFIX) and difflib.get_close_matches(name, names, n=1, cutoff=0.9)
        ):
            raise ConfigError(f"The environment variable {name} is no setting.", hint=_did_you_mean(name, names))
    return given


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    """The values of flags that were given (not None)."""
    given = {}
    for key, value in flags.items():
        if value is None:
            continue
        field = _field(key, "flags")
        section, name = key.split(".", 1)
        origin = f"flag {field.metadata.get('flag', '--' + name.replace('_', '-'))}"
        given[key] = _Given(value=_typed(value, section, field, origin), origin=origin)
    return given


def _known_keys() -> list[str]:
    return [f"{section}.{item.name}" for section, cls in _REGISTRY.items() for item in _fields(cls)]


def _fields(cls: type[Any]) -> tuple[Field[Any], ...]:
    return fields(cls)


def _field(key: str, origin: str) -> Field[Any]:
    """The dataclass field of "section.field"; ConfigError with a close match if there is none."""
    section, _, name = key.partition(".")
    if section in _REGISTRY:
        for item in _fields(_REGISTRY[section]):
            if item.name == name:
                return item
    raise ConfigError(f"There is no setting {key!r} (from {origin}).", hint=_did_you_mean(key, _known_keys()))


def _kinds(section: str, field: Field[Any]) -> tuple[type, ...]:
    """The plain types that a field takes: str for a Literal of strings, the members for a union."""
    hint = typing.get_type_hints(_REGISTRY[section])[field.name]
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(str if typing.get_origin(member) is Literal else member for member in members)


def _typed(value: object, section: str, field: Field[Any], origin: str) -> object:
    """`value` if its type fits the field (a whole number fits a float); raises ConfigError otherwise."""
    kinds = _kinds(section, field)
    if isinstance(value, bool):
        fits = bool in kinds
    elif isinstance(value, int) and float in kinds and int not in kinds:
        return float(value)
    else:
        fits = isinstance(value, kinds) and not (isinstance(value, float) and not math.isfinite(value))
    if not fits:
        raise _wrong_type(f"{section}.{field.name}", value, kinds, origin)
    return value


def _parsed(text: str, section: str, field: Field[Any], origin: str) -> object:
    """The value that an environment variable's text stands for; raises ConfigError if there is none."""
    kinds = _kinds(section, field)
    if types.NoneType in kinds and text.strip().lower() in ("", "none"):
        return None
    if str in kinds:
        return text
    word = text.strip().lower()
    try:
        if bool in kinds:
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[word]
        number = int(word) if int in kinds else float(word)
    except (KeyError, ValueError):
        raise _wrong_type(f"{section}.{field.name}", text, kinds, origin) from None
    return _typed(number, section, field, origin)


def _wrong_type(key: str, value: object, kinds: tuple[type, ...], origin: str) -> ConfigError:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "none"}
    wanted = " or ".join(words.get(kind, kind.__name__) for kind in kinds)
    return ConfigError(f"{key} is {value!r} (from {origin}): {wanted} is needed.", hint=f"Give {key} {wanted}.")


def _did_you_mean(given: str, known: Iterable[str]) -> str:
    """A hint with the closest known name, else with all of them."""
    names = list(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(names)}."
