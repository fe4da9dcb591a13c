"""A project of the user's, managed by uv: lock, sync, add, remove, upgrade, export, what is outdated.

uv's own commands do the work; what is read are its JSON outputs and the lock itself, never its talk. Standard library
only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.packages import lock_diff, lockfile, versions
from agentic_diffusion.packages.lock_diff import Change
from agentic_diffusion.packages.lockfile import Lock
from agentic_diffusion.packages.uv import Uv

Format = Literal["requirements", "pylock", "cyclonedx"]
_FORMATS: Mapping[Format, tuple[str, ...]] = {
    "requirements": ("requirements.txt",),
    "pylock": ("pylock.toml",),
    "cyclonedx": ("cyclonedx1.5", "--preview-features", "sbom-export"),
}
_EMPTY = Lock(packages=())
_STALE = "needs to be updated"


@dataclass(frozen=True, kw_only=True)
class Outdated:
    """A package with a newer version on the index."""

    name: str
    """Its name."""
    version: str
    """What is locked."""
    latest: str
    """The newest there is."""
    leap: str
    """major, minor or patch."""
    direct: bool
    """Whether the project itself asks for it."""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with a pyproject.toml, and the uv that manages it."""

    folder: Path
    """The folder."""
    uv: Uv
    """Runs here."""

    @classmethod
    def open(cls, folder: Path, uv: Uv) -> Project:
        """The project in a folder; UsageError when there is none."""
        if not (folder / "pyproject.toml").is_file():
            raise UsageError(
                f"{folder} is no Python project: it has no pyproject.toml.", hint="Name another with --project FOLDER."
            )
        return cls(folder=folder.absolute(), uv=uv)

    def locked(self) -> Lock:
        """Its lock; SetupError when there is none."""
        return lockfile.load(self.folder)

    def fresh(self) -> bool:
        """Whether the lock fits pyproject.toml (`uv lock --check`); SetupError when uv cannot tell."""
        self.locked()
        try:
            self._run(["lock", "--check"], "check the lock")
        except SetupError as error:
            if _STALE in error.message:
                return False
            raise
        return True

    def lock(self) -> list[Change]:
        """Bring the lock up to date, with as few changes as possible; returns them."""
        return self._changed(lambda: self._run(["lock"], "lock the project"))

    def upgrade(self, names: Sequence[str] = ()) -> list[Change]:
        """Lock the newest versions that are allowed, of everything or of `names`; returns the changes."""
        chosen = [word for name in names for word in ("--upgrade-package", name)] or ["--upgrade"]
        for name in names:
            self.locked().require(name)
        return self._changed(lambda: self._run(["lock", *chosen], "upgrade the lock"))

    def add(self, requirements: Sequence[str], *, group: str = "", extra: str = "") -> list[Change]:
        """Write requirements into pyproject.toml, lock and install them; on failure uv leaves all as it was."""
        place = ["--group", group] if group else ["--optional", extra] if extra else []
        words = ["add", *place, "--", *_named(requirements)]
        return self._changed(lambda: self._run(words, f"add {', '.join(requirements)}"))

    def remove(self, names: Sequence[str], *, group: str = "", extra: str = "") -> list[Change]:
        """Take requirements out of pyproject.toml, lock, and remove what nothing needs any more."""
        place = ["--group", group] if group else ["--optional", extra] if extra else []
        words = ["remove", *place, "--", *_named(names)]
        return self._changed(lambda: self._run(words, f"remove {', '.join(names)}"))

    def sync(
        self, *, exact: bool = False, dry_run: bool = False, environment: Path | None = None,
        groups: Sequence[str] = (), extras: Sequence[str] = (),
    ) -> list[dict[str, str]]:  # fmt: skip
        """Install what the lock names; returns what changed: name, version, action.

        Packages that the lock does not know stay, unless `exact`.
        """
        self.locked()
        words = ["sync", "--frozen", "--output-format", "json", "--preview-features", "json-output"]
        words += [] if exact else ["--inexact"]
        words += ["--dry-run"] if dry_run else []
        words += [word for name in groups for word in ("--group", name)]
        words += [word for name in extras for word in ("--extra", name)]
        extra = {"UV_PROJECT_ENVIRONMENT": str(environment)} if environment else {}
        said = _json(self._run(words, "install the locked packages", extra), "sync")
        changes = said.get("sync", {}).get("changes", [])
        return [{key: str(change.get(key, "")) for key in ("name", "version", "action")} for change in changes]

    def export(self, form: Format, *, extras: bool = False, groups: bool = False) -> str:
        """The lock in another form, with hashes: requirements.txt, pylock.toml (PEP 751) or CycloneDX 1.5."""
        self.locked()
        more = ["--all-extras"] * extras + (["--all-groups"] if groups else ["--no-default-groups"])
        return self._run(
            ["export", "--frozen", "--quiet", "--no-header", *more, "--format", *_FORMATS[form]],
            f"export the lock as {form}",
        )

    def outdated(self) -> list[Outdated]:
        """The locked packages of which the index has a newer version, those that the project asks for first."""
        lock = self.locked()
        said = _json(
            self._run(
                ["tree", "--frozen", "--outdated", "--format", "json", "--preview-features", "json-output",
                 "--universal"],
                "ask for newer versions",
            ),
            "tree",
        )  # fmt: skip
        direct = {
            need.name
            for root in lock.roots
            for needs in (root.needs, *root.extras.values(), *root.groups.values())
            for need in needs
        }
        found = {}
        for entry in said.get("resolution", {}).values():
            latest, name, version = (str(entry.get(key, "")) for key in ("latest_version", "name", "version"))
            if latest and versions.key(latest) > versions.key(version):
                found[name, version] = Outdated(
                    name=name,
                    version=version,
                    latest=latest,
                    leap=versions.leap(version, latest),
                    direct=name in direct,
                )
        return sorted(found.values(), key=lambda one: (not one.direct, one.name, one.version))

    def vulnerabilities(self) -> tuple[str, list[dict[str, Any]]]:
        """What uv's audit knows: a word ("checked", or "not checked: why"), and the findings."""
        if self.uv.offline:
            return "not checked: offline", []
        try:
            said = self._run(
                ["audit", "--frozen", "--output-format", "json", "--preview-features", "json-output,audit-command"],
                "look for known vulnerabilities",
                {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"},
            )
        except SetupError as error:
            return f"not checked: {error.message.rstrip('.')}", []
        return "checked", list(_json(said, "audit").get("vulnerabilities", []))

    def _changed(self, deed: Callable[[], str]) -> list[Change]:
        """What a deed changes in the lock."""
        place = self.folder / lockfile.NAME
        before = lockfile.load(place) if place.is_file() else _EMPTY
        deed()
        return lock_diff.diff(before, self.locked()) if before is not _EMPTY else []

    def _run(self, words: Sequence[str], purpose: str, extra: Mapping[str, str] | None = None) -> str:
        return self.uv.run([words[0], "--project", str(self.folder), *words[1:]], purpose=purpose, extra=extra)


def _named(names: Sequence[str]) -> Sequence[str]:
    if not names:
        raise UsageError("No package was named.", hint="Write its name, such as: agd deps add httpx.")
    return names


def _json(text: str, command: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise SetupError(f"uv {command} gave no JSON.", hint="Install a newer uv.") from error
    return data if isinstance(data, dict) else {}
