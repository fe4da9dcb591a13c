"""Errors and exit codes: one tree, one table.

    AgdError                      exit 4 unless a branch says otherwise
    ├── UsageError                exit 2   a wrong flag, an empty prompt, a file that does not parse
    │   └── ConfigError           exit 2   a setting that is unknown or out of range
    ├── NegativeResultError       exit 1   a check ran and its answer is no
    ├── NotVerifiedError          exit 3   no candidate passed the tests; the best one was printed
    └── SetupError                exit 4   the environment cannot do what was asked
        ├── ResourceError         exit 4   not enough memory, disk or time
        ├── ModelFileError        exit 4   a model file is missing, truncated or foreign
        ├── SandboxError          exit 4   no sandbox tier works here, or the sandbox broke
        └── StoreError            exit 4   the database cannot be opened, migrated or written

    exit code   meaning
    0           done, and verified where tests were given
    1           a check ran and its answer is negative
    2           usage or bad input
    3           no candidate was verified (the best one is printed and called unverified)
    4           the environment cannot do it
    130         interrupted

Every message is one plain sentence (what was given, what is allowed) and every error carries a hint (what to do next).
Standard library only.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every `agd` command."""

    DONE = 0
    NEGATIVE = 1
    USAGE = 2
    NOT_VERIFIED = 3
    ENVIRONMENT = 4
    INTERRUPTED = 130


class AgdError(Exception):
    """Base of all errors that a user may see: a sentence, a hint and an exit code."""

    exit_code: ExitCode = ExitCode.ENVIRONMENT

    def __init__(self, message: str, *, hint: str) -> None:
        """Keep `message` (one sentence) and `hint` (what to do next)."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the hint, so that an error crosses from a worker process unharmed."""
        return _rebuild, (type(self), self.message, self.hint), self.__dict__

    def as_json(self) -> dict[str, object]:
        """The error as a JSON-ready mapping: type, message, hint, exit_code."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": int(self.exit_code),
        }


def _rebuild(kind: type[AgdError], message: str, hint: str) -> AgdError:
    return kind(message, hint=hint)


class UsageError(AgdError):
    """The request itself is wrong: a flag, a prompt, a file that does not parse."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is unknown or out of its range."""


class NegativeResultError(AgdError):
    """A check ran to its end and its answer is no."""

    exit_code = ExitCode.NEGATIVE


class NotVerifiedError(AgdError):
    """No candidate passed the tests within the budget."""

    exit_code = ExitCode.NOT_VERIFIED


class SetupError(AgdError):
    """The environment cannot do what was asked."""


class ResourceError(SetupError):
    """Memory, disk or time does not suffice; said before the work where possible."""


class ModelFileError(SetupError):
    """A model file is missing, truncated, corrupt or of another model."""


class SandboxError(SetupError):
    """No sandbox tier works here, or the sandbox itself broke."""


class StoreError(SetupError):
    """The database cannot be opened, migrated or written."""
