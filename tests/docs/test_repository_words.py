"""The repository speaks of the project alone: no machine's paths, no foreign hosts, no numbers of a tracker."""

import re

from docs_pages import ROOT

FOLDERS = ("src", "tests", "docs", "benchmarks", "runs", "examples", ".ci")
SUFFIXES = {".py", ".md", ".toml", ".sh", ".json", ".svg", ".cfg", ".yml", ""}
FILES = sorted(
    path
    for path in [*ROOT.glob("*"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))]
    if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts and path.name[:2] != ".c"
)
OWN_LOCK = ROOT / "uv.lock"
HOST = re.compile(r"\b(?:https?|ftp|git)://([\w.-]+)")
HOSTS = {
    "LICENSE": {"www.apache.org"},
    "NOTICE": {"huggingface.co"},
    "src/agentic_diffusion/installer/bring.py": {"registry.npmjs.org"},
    "src/agentic_diffusion/installer/manifest.toml": {"huggingface.co"},
    "src/agentic_diffusion/installer/torch_choice.py": {"download.pytorch.org"},
}
"""Hosts that a file may name: licences, and where set-up fetches from."""
EVERYWHERE = re.compile(r"(?:[\w-]+\.)*example(?:\.(?:org|com|net))?|localhost|127\.0\.0\.1|www\.w3\.org|\.*")
MACHINE = re.compile(r"(?<![\w.\-/~$}])/(?:work|opt|root|mnt)/\w")
TRACKER = re.compile(r"\b(?:issue|ticket|pull request)\s+#?\d+|(?<![&\w\"'#(])#\d{1,4}\b(?!\w)", re.IGNORECASE)
FOREIGN = re.compile(r"\bsuba[g]ents?\b|\bb[r]iefing\b|\bch[a]tbot\b", re.IGNORECASE)


def relative(path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(pattern, path, *, skip=()):
    text = path.read_text(encoding="utf-8")
    return [
        f"{relative(path)}: {line.strip()[:120]}"
        for line in text.splitlines()
        if pattern.search(line) and not any(word in line for word in skip)
    ]


def test_the_whole_repository_is_looked_at():
    names = {relative(path) for path in FILES}
    assert {"README.md", "agd", ".ci/run", "src/agentic_diffusion/cli/app.py", "pyproject.toml"} <= names
    assert len(names) > 150


def test_no_paths_of_a_machine():
    assert [hit for path in FILES if path != OWN_LOCK for hit in lines(MACHINE, path)] == []


def test_no_numbers_of_a_tracker():
    looked_at = [path for path in FILES if path.suffix in (".py", ".md", ".sh") or path.suffix == ""]
    assert [hit for path in looked_at for hit in lines(TRACKER, path)] == []


def test_no_words_about_anything_but_the_project():
    assert [hit for path in FILES if path != OWN_LOCK for hit in lines(FOREIGN, path)] == []


def test_hosts_are_the_ones_that_the_product_needs():
    foreign = {
        (relative(path), host)
        for path in FILES
        if path != OWN_LOCK
        for host in HOST.findall(path.read_text(encoding="utf-8"))
        if not EVERYWHERE.fullmatch(host) and host not in HOSTS.get(relative(path), ())
    }
    assert foreign == set()


def test_the_lock_file_names_the_public_index_only():
    assert set(HOST.findall(OWN_LOCK.read_text(encoding="utf-8"))) == {"pypi.org", "files.pythonhosted.org"}


def test_pictures_load_nothing():
    for picture in (ROOT / "docs" / "images").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"@import|@font-face|<script|href=|url\((?!#)", text)
        assert "<title>" in text
