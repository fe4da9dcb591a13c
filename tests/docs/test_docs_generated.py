"""Pages equal what the code and the measured results say."""

import json
from dataclasses import fields

import pytest
from docs_pages import ROOT, name, script

from agentic_diffusion.foundation import config
from agentic_diffusion.foundation.errors import ExitCode

reference = script("docs/make_reference.py")
figures = script("benchmarks/fill_readme.py")
training = script("benchmarks/adapter_training.py")
times = script("benchmarks/suite_times.py")
picture = script("docs/make_picture.py")


@pytest.mark.parametrize("page", reference.pages(), ids=name)
def test_generated_parts_are_as_the_code_is_now(page):
    text = page.read_text(encoding="utf-8")
    assert text == reference.generated(text), f"run python docs/make_reference.py to bring {name(page)} up to date"


def test_every_setting_is_in_the_reference_with_its_default():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    settings = config.load({}, environ={}, files=[])
    for key, _, _ in settings.items():
        assert f"| `{key}` |" in page
    assert all(item.name in page for cls in reference.SECTIONS for item in fields(cls))


def test_every_exit_code_is_in_the_readme():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"\n| {int(code)} | " in page for code in ExitCode)


def test_the_tree_names_every_file_of_the_package():
    shown = reference.tree()
    package = ROOT / "src" / "agentic_diffusion"
    for path in package.rglob("*.py"):
        if path.name != "__init__.py":
            assert f" {path.name} " in shown


@pytest.mark.parametrize("page", figures.pages(), ids=name)
def test_tables_are_filled_and_agree_with_their_results(page):
    text = page.read_text(encoding="utf-8")
    filled, problems = figures.filled(text)
    assert problems == []
    assert text == filled, f"run python benchmarks/fill_readme.py to bring {name(page)} up to date"


def test_every_result_file_is_shown_somewhere_and_names_no_machine():
    shown = "".join(page.read_text(encoding="utf-8") for page in figures.pages())
    for path in figures.RESULTS.glob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        assert {"date", "command", "machine", "rows"} <= set(data), path.name
        assert f"<!-- figures:{path.stem} -->" in shown, path.name


def test_a_missing_result_is_said(tmp_path):
    with pytest.raises(figures.ResultError, match=r"has no figures: adapter\.json"):
        figures.render("adapter", tmp_path)


def test_an_incomplete_result_is_said(tmp_path):
    head = {"date": "2026-01-01", "command": "c", "machine": "m"}
    (tmp_path / "sandbox.json").write_text(json.dumps(head | {"rows": [{"way": "x"}]}))
    with pytest.raises(figures.ResultError, match=r"sandbox\.json cannot be read"):
        figures.render("sandbox", tmp_path)


def test_an_unknown_table_is_said():
    with pytest.raises(figures.ResultError, match="no table 'nothing'"):
        figures.render("nothing")


def test_a_block_is_rewritten_and_what_cannot_be_is_kept(tmp_path):
    head = {"date": "2026-01-01", "command": "c", "machine": "m"}
    row = {"way": "plain", "per_second": 12.4, "wall_milliseconds": 80.0, "cpu_milliseconds": 79.0}
    (tmp_path / "sandbox.json").write_text(json.dumps(head | {"rows": [row]}))
    page = "a\n<!-- figures:sandbox -->\nold\n<!-- /figures -->\n<!-- figures:adapter -->\n<!-- /figures -->\n"
    text, problems = figures.filled(page, tmp_path)
    assert "| plain | 12 | 80.0 ms | 79.0 ms |" in text
    assert "Measured 2026-01-01 with `c` on m." in text
    assert "old" not in text
    assert len(problems) == 1
    assert text.endswith("<!-- figures:adapter -->\n<!-- /figures -->\n")
    assert figures.filled(text, tmp_path)[0] == text


def test_a_training_log_with_a_resume_is_summed_once():
    def line(step, seconds, hit):
        return {
            "step": step, "seconds": seconds, "targets": 10.0, "cross_entropy": 2.0, "divergence": 1.0,
            "hits_0": hit, "hits_1": 0.0, "blocks": 4.0,
        }  # fmt: skip

    lines = [line(1, 60.0, 1.0), line(2, 120.0, 1.0), line(2, 60.0, 3.0), line(3, 120.0, 3.0)]
    found = training.summary(lines, 2)
    assert found["steps"] == 3
    assert found["targets"] == 30
    assert found["minutes"] == pytest.approx(4.0)
    assert found["hits"] == [0.75, 0.0]
    assert (found["cross_entropy"], found["divergence"], found["window"]) == (2.0, 1.0, 2)


def test_times_are_summed_by_folder(tmp_path):
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite time="9">'
        '<testcase classname="tests.diffusion.test_a" time="2"/><testcase classname="tests.diffusion.test_b" time="3"/>'
        '<testcase classname="tests.test_c" time="1"/></testsuite></testsuites>'
    )
    assert times.parts(report) == [
        {"part": "tests/diffusion", "tests": 2, "seconds": 5.0},
        {"part": "tests", "tests": 1, "seconds": 1.0},
    ]


@pytest.mark.parametrize(("count", "frames"), [(2, 6), (6, 6), (33, 6), (1, 6), (100, 2)])
def test_frames_of_the_picture_run_from_first_to_last_without_repeats(count, frames):
    places = picture.evenly(count, frames)
    assert places[0] == 0
    assert places[-1] == count - 1
    assert len(set(places)) == len(places) == min(count, frames)


def test_the_picture_shows_the_main_command_of_the_readme():
    words = picture.main_command()
    assert words[0] == "generate"
    assert (ROOT / words[words.index("--tests") + 1]).is_file()


def test_the_picture_is_a_whole_denoising():
    text = picture.PICTURE.read_text(encoding="utf-8").replace("&#160;", " ")
    assert "all masked" in text
    assert "tests passed" in text
    assert "def" in text
