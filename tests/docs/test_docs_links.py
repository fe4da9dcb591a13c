"""Links between pages lead somewhere, headings included."""

import re

import pytest
from docs_pages import PAGES, ROOT, name, prose

LINK = re.compile(r"\]\(([^)\s]+)\)")


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


def test_there_are_pages_and_links():
    assert len(PAGES) > 10
    assert sum(len(LINK.findall(prose(page))) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_resolve(page):
    for target in LINK.findall(prose(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{name(page)} links to {target}"
        assert place.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), f"{name(page)} links to {target}"


def test_every_page_of_the_docs_is_reached_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    reached = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in LINK.findall(index)}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {ROOT / "docs" / "index.md"} <= reached


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_page_has_one_title_and_closed_blocks(page):
    text = prose(page)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    assert page.read_text(encoding="utf-8").count("```") % 2 == 0
    assert re.sub(r"`[^`]*`", "", text).count("$") % 2 == 0
