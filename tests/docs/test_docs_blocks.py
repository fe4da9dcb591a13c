"""What the docs say is run: Python blocks, settings in TOML."""

import tomllib

import pytest
from docs_pages import PAGES, ROOT, blocks, name
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from agentic_diffusion.codegen.coder import ADAPTER
from agentic_diffusion.foundation import config, plugins

SYBIL = Sybil(parsers=[PythonCodeBlockParser()])
EXAMPLES = [(name(page), example) for page in PAGES for example in SYBIL.parse(page)]
IDS = [f"{page}:{example.line}" for page, example in EXAMPLES]


def needs_model(example) -> bool:
    return "Coder.load" in example.document.text[example.start : example.end]


FREE = [(pair, label) for pair, label in zip(EXAMPLES, IDS, strict=True) if not needs_model(pair[1])]
WITH_MODEL = [(pair, label) for pair, label in zip(EXAMPLES, IDS, strict=True) if needs_model(pair[1])]


def test_readme_and_the_api_page_have_blocks_to_run():
    assert {page for page, _ in EXAMPLES} >= {"README.md", "docs/reference/python-api.md"}
    assert len(FREE) >= 4
    assert len(WITH_MODEL) >= 2


@pytest.mark.parametrize("pair", [pair for pair, _ in FREE], ids=[label for _, label in FREE])
def test_block_runs(pair):
    pair[1].evaluate()


@pytest.mark.model
@pytest.mark.parametrize("pair", [pair for pair, _ in WITH_MODEL], ids=[label for _, label in WITH_MODEL])
def test_block_with_the_model_gives_a_program_that_parses(pair, default_model):
    if not ADAPTER.exists():
        pytest.skip("the adapter is not in this checkout")
    pair[1].evaluate()
    result = pair[1].document.namespace["result"]
    assert result.candidates
    compile(result.program, "program", "exec")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_toml_in_the_docs_is_valid_configuration(page, tmp_path):
    for number, block in enumerate(blocks(page, "toml")):
        content = tomllib.loads(block)
        if "project" in content:  # metadata of somebody's plug-in
            for group in content["project"]["entry-points"]:
                assert group.removeprefix("agentic_diffusion.") in plugins.KINDS
            continue
        path = tmp_path / f"{number}.toml"
        path.write_text(block, encoding="utf-8")
        settings = config.load(environ={}, files=[path])
        assert any(origin.startswith("file") for _, _, origin in settings.items())


def test_the_configuration_shown_in_the_readme_exists():
    assert blocks(ROOT / "README.md", "toml")
