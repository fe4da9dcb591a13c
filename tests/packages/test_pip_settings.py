"""What pip is configured to use is read and handed over, and nothing else is."""

from __future__ import annotations

import sys
from pathlib import Path

from agentic_diffusion.packages import pip_settings

LISTING = """\
:env:.find-links='/from/environment'
global.cert='/etc/ssl/ca.pem'
global.extra-index-url='https://one.example/simple https://two.example/simple'
global.find-links='/from/file'
install.constraint='/etc/limits.txt'
global.constraint='/etc/other.txt'
download.index-url='https://not-for-install.example/simple'
"""


def test_variables_win_over_install_and_that_over_global() -> None:
    settings = pip_settings.parse(LISTING, {"PIP_FIND_LINKS": "/a /b"})

    assert settings.find_links == ("/a", "/b")
    assert settings.constraints == ("/etc/limits.txt",)
    assert settings.cert == "/etc/ssl/ca.pem"
    assert settings.extra_index_urls == ("https://one.example/simple", "https://two.example/simple")
    assert settings.index_url == ""


def test_the_transport_leaves_the_users_own_variables_alone() -> None:
    settings = pip_settings.PipSettings(cert="/ca.pem", index_url="https://x.example/simple", proxy="http://p.example")

    handed = settings.transport({"SSL_CERT_FILE": "/mine.pem"})

    assert handed == {
        "HTTP_PROXY": "http://p.example",
        "HTTPS_PROXY": "http://p.example",
        "UV_DEFAULT_INDEX": "https://x.example/simple",
    }


def test_the_transport_says_nothing_about_versions() -> None:
    """Further indexes, find-links and constraints change what a solver chooses, so a locked set never sees them."""
    settings = pip_settings.parse(LISTING, {})

    assert set(settings.transport({})) == {"SSL_CERT_FILE"}
    assert settings.solving() == [
        "--index", "https://one.example/simple", "--index", "https://two.example/simple",
        "--index-strategy", "unsafe-best-match", "--find-links", "/from/file", "--constraint", "/etc/limits.txt",
    ]  # fmt: skip


def test_folders_are_the_find_links_that_exist_here(tmp_path: Path) -> None:
    spaced = tmp_path / "with space"
    spaced.mkdir()
    settings = pip_settings.PipSettings(
        find_links=(str(tmp_path), spaced.as_uri(), str(tmp_path / "gone"), "https://wheels.example/")
    )

    assert settings.folders() == (tmp_path, spaced)


def test_a_python_without_pip_still_has_its_variables() -> None:
    settings = pip_settings.read("/no/such/python", {"PIP_INDEX_URL": "https://x.example/simple"})

    assert settings.index_url == "https://x.example/simple"


def test_this_pythons_pip_is_asked(tmp_path: Path) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nfind-links = /somewhere\n")

    settings = pip_settings.read(
        getattr(sys, "_base_executable", sys.executable),
        {"PIP_CONFIG_FILE": str(configuration), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )

    assert "/somewhere" in settings.find_links
