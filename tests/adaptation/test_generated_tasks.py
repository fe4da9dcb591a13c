"""Generated tasks are run: right ones pass in every language whose toolchain is here, a wrong one is named."""

from dataclasses import replace

import pytest

from agentic_diffusion.adaptation.generated_tasks import check_tasks, groups_of_names
from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.task_generator import GeneratorSettings, generate_tasks
from agentic_diffusion.domains.code.task_tables import TABLES
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.sandbox import choose
from agentic_diffusion.installer import toolchains

TASKS = list(generate_tasks(GeneratorSettings(count=25, seed=11)))


@pytest.mark.parametrize("language", sorted(TABLES))
def test_all_languages_give_the_values_that_the_specification_has(language):
    missing = [tool for tool in languages.get(language).tools if toolchains.find(tool) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not here")
    told = []
    assert check_tasks(TASKS, [language], choose(), told=lambda *words: told.append(words)) == []
    assert sum(count for _, count in told) == len(TASKS)


def test_a_wrong_solution_is_named_among_right_ones():
    given, value = TASKS[3].cases[0]
    wrong = replace(TASKS[3], cases=((given, "never this"), *TASKS[3].cases[1:]))
    failures = check_tasks([*TASKS[:3], wrong, *TASKS[4:6]], ["python"], choose())
    assert [(failure.number, failure.language) for failure in failures] == [(3, "python")]
    assert failures[0].message
    assert value != "never this"


def test_groups_hold_every_task_once_and_no_name_twice():
    tasks = [*TASKS, *(replace(task, number=task.number + 100) for task in TASKS[:7])]
    groups = list(groups_of_names(tasks, 10))
    assert sorted(task.number for group in groups for task in group) == sorted(task.number for task in tasks)
    for group in groups:
        assert len({task.name for task in group}) == len(group) <= 10
    with pytest.raises(UsageError, match="hold nothing"):
        list(groups_of_names(tasks, 0))


def test_a_missing_toolchain_is_told(monkeypatch):
    monkeypatch.setattr(toolchains, "find", lambda _: None)
    with pytest.raises(SetupError, match="Solutions in go cannot be run: go is missing"):
        check_tasks(TASKS[:1], ["go"], choose())
