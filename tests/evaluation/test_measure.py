"""Measuring with a tiny model that knows its answers: right, wrong and faked ones, in any batch, and after a stop."""

from __future__ import annotations

import json

import pytest
import torch

from agentic_diffusion.codegen.endings import TopLevelLine
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code.tokenizer import Prompt
from agentic_diffusion.evaluation import report
from agentic_diffusion.evaluation.journal import Journal
from agentic_diffusion.evaluation.loaders import load
from agentic_diffusion.evaluation.measure import EndOfEach, MeasureSettings, measure, program_of
from agentic_diffusion.evaluation.prompt_form import load_form
from agentic_diffusion.evaluation.soundness import check
from agentic_diffusion.evaluation.tasks import BenchTask
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.sandbox import Limits
from tiny_coder import ADD_ONE, ADD_ONE_TEST, CHEAT, CHEAT_TEST, WRONG, WRONG_TEST

FORM = (
    'name = "own"\nrequest = "{text}\\nYour code should pass this test:\\n{example}"\n'
    'request_without_example = "{text}"\nopening = "def {entry_point}("\n'
)
ROWS = [
    {"task_id": "add", "text": ADD_ONE, "code": "def f(x):\n    return x + 1\n", "test_list": [ADD_ONE_TEST]},
    {"task_id": "cheat", "text": CHEAT, "code": "def g(x):\n    return x + 1\n", "test_list": [CHEAT_TEST]},
    {"task_id": "wrong", "text": WRONG, "code": "def h(x):\n    return x - 1\n", "test_list": [WRONG_TEST]},
    {
        "task_id": "long",
        "text": "many words " * 40,
        "code": "def f(x):\n    return x + 1\n",
        "test_list": [ADD_ONE_TEST],
    },
]


@pytest.fixture(scope="module")
def setting(tmp_path_factory, sandbox):
    """Benchmark, what the checks found, and the prompt form."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "own.toml").write_text(FORM)
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    benchmark = load(str(folder / "own.jsonl"))
    found = check(benchmark.tasks, sandbox, Limits(seconds=10), hidden=3, bodies=0)
    assert len(found.ready) == len(ROWS)
    return benchmark, found, load_form(folder / "own.toml")


def settings_for(coder, *, mode="ar", batch=8, samples=1, temperature=0.0):
    decode = DecodeSettings(
        mode=mode, block=1 if mode == "ar" else 4, max_new_tokens=60, stop_tokens=(coder.tokenizer.fence_id,),
        temperature=temperature,
    )  # fmt: skip
    return MeasureSettings(decode=decode, batch=batch, samples=samples)


def test_right_wrong_and_faked_answers(taught_coder, setting, sandbox):
    benchmark, found, form = setting
    settings = settings_for(taught_coder)
    results = measure(found.ready, taught_coder, form, settings, sandbox=sandbox, journal=Journal(None, {}))
    assert [result.task for result in results] == ["add", "cheat", "wrong", "long"]
    passed = {result.task: result.answers[0].passed for result in results}
    assert passed == {"add": True, "cheat": False, "wrong": False, "long": False}
    assert results[0].answers[0].hidden is True
    assert results[0].answers[0].finished
    assert results[3].answers[0].tokens == 0  # its prompt leaves no room in the model's context
    run = report.identity(benchmark, form, settings, weights=taught_coder.weights, tasks=list(passed))
    result = report.summary(run, results, found, benchmark, tier=sandbox.tier)
    assert result["scores"]["pass@1"]["value"] == 0.25
    assert result["scores"]["pass@1"]["method"] == "wilson"
    assert result["new_tokens"] == sum(answer.answers[0].tokens for answer in results)
    assert result["forwards"] == result["new_tokens"]  # mode `ar`: a forward a token
    head, rows = report.table([result])
    assert rows[0][head.index("score")] == "pass@1 25.0%"
    assert json.loads(json.dumps(result))["prompt_form_sha256"] == form.checksum


@pytest.mark.parametrize(("mode", "temperature", "samples"), [("ar", 0.0, 1), ("denoise", 0.9, 2), ("verify", 0.9, 2)])
def test_batch_one_and_batch_eight_give_the_same_answers(taught_coder, setting, sandbox, mode, temperature, samples):
    _, found, form = setting
    programs = []
    for batch in (1, 8):
        settings = settings_for(taught_coder, mode=mode, batch=batch, samples=samples, temperature=temperature)
        results = measure(found.ready[:3], taught_coder, form, settings, sandbox=sandbox, journal=Journal(None, {}))
        programs.append([[answer.program for answer in result.answers] for result in results])
    assert programs[0] == programs[1]


def test_a_run_goes_on_where_it_was(taught_coder, setting, sandbox, tmp_path):
    _, found, form = setting
    settings = settings_for(taught_coder, batch=1)
    journal = Journal(tmp_path / "j", {"run": 1})
    journal.add("add", {"answers": [], "forwards": 1.0, "seconds": 0.0, "judge_seconds": 0.0})
    results = measure(found.ready[:2], taught_coder, form, settings, sandbox=sandbox, journal=journal)
    assert [len(result.answers) for result in results] == [0, 1]
    assert Journal(tmp_path / "j", {"run": 1}).done.keys() == {"add", "cheat"}


def test_each_row_ends_by_the_rule_of_its_own_prompt(taught_coder):
    line = TopLevelLine(taught_coder.tokenizer, taught_coder.parent.shape.vocabulary)
    one, two = [[5, *taught_coder.tokenizer.encode(text)] for text in ("ab", "abc")]
    answer = taught_coder.tokenizer.encode("x\ny")
    prompts = [Prompt(one, ""), Prompt(two, "")]
    ends = EndOfEach(prompts, [None, line])
    width = len(two) + len(answer)
    tokens = torch.tensor([[*two, *answer], [*one, *answer, *[0] * (width - len(one) - len(answer))]])
    assert ends(tokens).any(1).tolist() == [True, False]
    assert torch.equal(ends(tokens[:1]), line(tokens[:1]))
    assert ends(tokens.flip(0)).any(1).tolist() == [False, True]


def test_a_hole_is_filled_up_to_its_suffix():
    task = BenchTask(
        id="h", language="python", kind="infill", text="", prefix="def f():\n    a = 1\n", suffix="    return a\n",
        tests="assert f() == 2\n",
    )  # fmt: skip
    program = program_of(task, task.prefix, "    a += 1\n    return a\n\nprint(f())\n")
    assert program == "def f():\n    a = 1\n    a += 1\n    return a\n"
    assert program_of(task, task.prefix.rstrip(), "\n    a += 1\n    return a\n") == program


def test_impossible_settings_are_refused(taught_coder):
    with pytest.raises(ConfigError, match="5 greedy samples"):
        settings_for(taught_coder, samples=5)
    with pytest.raises(ConfigError, match="0 samples in batches of 8"):
        settings_for(taught_coder, samples=0)


def test_results_are_compared_pair_by_pair(tmp_path):
    def result(*passed):
        answers = [{"passed": value, "hidden": None} for value in passed]
        tasks = [{"task": str(i), "answers": [answer]} for i, answer in enumerate(answers)]
        return {"mode": "ar", "date": "2026-01-02", "seed": 3, "results": tasks}

    path = tmp_path / "other.json"
    path.write_text(json.dumps(result(True, False, False, False)))
    found = report.compare(result(True, True, False, False), report.read_result(path))
    assert (found["difference"]["value"], found["tasks"]) == (0.25, 4)
    path.write_text('{"results": 5}')
    with pytest.raises(UsageError, match="holds no result"):
        report.read_result(path)
