"""The configuration loader: precedence, origins, and a clear sentence for every wrong value."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.foundation import config
from agentic_diffusion.foundation.errors import ConfigError
from agentic_diffusion.foundation.settings import (
    GenerateSettings,
    LogSettings,
    ModelSettings,
    SandboxSettings,
    StoreSettings,
)


def _toml(folder: Path, text: str, name: str = "agd.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _fails(*, files=(), environ=None, flags=None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(flags, environ=environ or {}, files=files)
    return caught.value


def test_defaults_are_the_documented_ones():
    settings = config.load(environ={}, files=[])
    generate = settings.section(GenerateSettings)
    assert generate == GenerateSettings()
    assert (generate.mode, generate.samples, generate.budget_seconds) == ("denoise", 16, 60.0)
    assert settings.section(SandboxSettings).memory_bytes == 512 << 20
    assert settings.section(StoreSettings).url is None
    assert {origin for _, _, origin in settings.items()} == {"default"}


@given(layers=st.sets(st.sampled_from(["user", "project", "environment", "flag"])))
def test_the_strongest_layer_wins_and_is_named(layers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    user = folder / "xdg/agentic-diffusion/config.toml"
    project = folder / "agd.toml"
    if "user" in layers:
        _toml(user.parent, "[generate]\nsamples = 2\n", "config.toml")
    if "project" in layers:
        _toml(folder, "[generate]\nsamples = 3\n")
    environ = {"AGD_GENERATE_SAMPLES": "4"} if "environment" in layers else {}
    flags = {"generate.samples": 5 if "flag" in layers else None}
    settings = config.load(flags, environ=environ, files=[user, project])
    expected = [(16, "default")]
    expected += [(2, f"file {user}")] if "user" in layers else []
    expected += [(3, f"file {project}")] if "project" in layers else []
    expected += [(4, "environment AGD_GENERATE_SAMPLES")] if "environment" in layers else []
    expected += [(5, "flag --samples")] if "flag" in layers else []
    assert (settings.section(GenerateSettings).samples, settings.origin("generate.samples")) == expected[-1]


def test_the_files_are_the_users_and_then_the_projects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _toml(tmp_path / "xdg/agentic-diffusion", '[model]\nname = "a"\nthreads = 1\n', "config.toml")
    _toml(tmp_path, '[model]\nname = "b"\n')
    settings = config.load(environ={"XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert settings.section(ModelSettings) == ModelSettings(name="b", threads=1)
    assert settings.origin("model.name") == "file agd.toml"
    own = _toml(tmp_path, '[model]\nname = "c"\n', "own.toml")
    alone = config.load(environ={"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "AGD_CONFIG": str(own)})
    assert alone.section(ModelSettings) == ModelSettings(name="c")
    assert alone.files == (own,)


def test_without_xdg_the_file_lies_below_home(tmp_path):
    assert config.default_files({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}) == [
        tmp_path / ".config/agentic-diffusion/config.toml",
        Path("agd.toml"),
    ]


def test_a_missing_named_file_is_an_error():
    with pytest.raises(ConfigError) as caught:
        config.load(environ={"AGD_CONFIG": "/nowhere/agd.toml"})
    assert caught.value.message == "AGD_CONFIG names /nowhere/agd.toml, which is not a file."


def test_an_unknown_key_gets_a_close_match(tmp_path):
    path = _toml(tmp_path, "[generate]\nsampels = 3\n")
    error = _fails(files=[path])
    assert error.message == f"There is no setting 'generate.sampels' (from file {path})."
    assert error.hint == "Did you mean generate.samples?"


def test_an_unknown_section_gets_a_close_match(tmp_path):
    path = _toml(tmp_path, "[genrate]\nsamples = 3\n")
    error = _fails(files=[path])
    assert error.message == f"{path} has an unknown section [genrate]."
    assert error.hint == "Did you mean generate?"


def test_a_key_outside_a_section_is_named(tmp_path):
    path = _toml(tmp_path, 'generate = "fast"\n')
    assert _fails(files=[path]).message == f"{path}: generate must be a section."


def test_broken_toml_is_named_with_its_line(tmp_path):
    path = _toml(tmp_path, "[generate]\nsamples = = 3\n")
    assert _fails(files=[path]).message == f"{path} is not valid TOML: Invalid value (at line 2, column 11)."


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "agd.toml"
    path.write_bytes(b"\xff\xfe")
    assert _fails(files=[path]).message.startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('samples = "3"', "generate.samples is '3' (from file {path}): a whole number is needed."),
        ("samples = true", "generate.samples is True (from file {path}): a whole number is needed."),
        ("samples = 2.5", "generate.samples is 2.5 (from file {path}): a whole number is needed."),
        ("temperature = nan", "generate.temperature is nan (from file {path}): a number is needed."),
        ("budget = 60", "generate.budget is 60 (from file {path}): text is needed."),
        ("mode = [1]", "generate.mode is [1] (from file {path}): text is needed."),
    ],
)
def test_a_wrong_type_names_its_origin(tmp_path, line, message):
    path = _toml(tmp_path, f"[generate]\n{line}\n")
    assert _fails(files=[path]).message == message.format(path=path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "AGD_GENERATE_MODE",
            "quick",
            "generate.mode is 'quick': only denoise, verify, ar are allowed."
            " It comes from environment AGD_GENERATE_MODE.",
        ),
        (
            "AGD_GENERATE_SAMPLES",
            "0",
            "generate.samples is 0: it must be at least 1. It comes from environment AGD_GENERATE_SAMPLES.",
        ),
        (
            "AGD_GENERATE_SAMPLES",
            "many",
            "generate.samples is 'many' (from environment AGD_GENERATE_SAMPLES): a whole number is needed.",
        ),
        (
            "AGD_GENERATE_TOP_P",
            "1.5",
            "generate.top_p is 1.5: it must be above 0 and at most 1. It comes from environment AGD_GENERATE_TOP_P.",
        ),
        (
            "AGD_GENERATE_TOP_P",
            "inf",
            "generate.top_p is inf (from environment AGD_GENERATE_TOP_P): a number is needed.",
        ),
        (
            "AGD_GENERATE_BUDGET",
            "soon",
            "generate.budget: 'soon' is not a duration: a number with ms, s, m or h is allowed."
            " It comes from environment AGD_GENERATE_BUDGET.",
        ),
        (
            "AGD_GENERATE_BUDGET",
            "0s",
            "generate.budget is '0s': it must be more than nothing. It comes from environment AGD_GENERATE_BUDGET.",
        ),
        (
            "AGD_SANDBOX_TIER",
            "none",
            "sandbox.tier is 'none': only auto, bubblewrap, landlock are allowed."
            " It comes from environment AGD_SANDBOX_TIER.",
        ),
        (
            "AGD_SANDBOX_MEMORY",
            "0",
            "sandbox.memory is '0': it must be more than nothing. It comes from environment AGD_SANDBOX_MEMORY.",
        ),
        (
            "AGD_STORE_URL",
            "mysql://x",
            "store.url is not a database that is supported: sqlite and postgresql+psycopg are."
            " It comes from environment AGD_STORE_URL.",
        ),
        (
            "AGD_MODEL_NAME",
            " ",
            "model.name is empty: a model's name or a folder is needed. It comes from environment AGD_MODEL_NAME.",
        ),
    ],
)
def test_a_wrong_value_in_the_environment(name, text, message):
    assert _fails(environ={name: text}).message == message


def test_two_values_that_do_not_go_together_name_both_origins(tmp_path):
    path = _toml(tmp_path, '[generate]\nmode = "ar"\nblock = 1\n')
    assert config.load(environ={}, files=[path]).section(GenerateSettings).block == 1
    error = _fails(files=[path], flags={"generate.mode": "denoise"})
    assert error.message == (
        f"generate.block is 1: mode denoise needs a block of at least 4. It comes from file {path}."
    )


def test_misspelt_environment_names_are_errors_and_foreign_ones_are_not():
    error = _fails(environ={"AGD_GENERATE_SAMPELS": "3"})
    assert error.message == "The environment variable AGD_GENERATE_SAMPELS is no setting."
    assert error.hint == "Did you mean AGD_GENERATE_SAMPLES?"
    assert _fails(environ={"AGD_GENRATE_SAMPLES": "3"}).hint == "Did you mean AGD_GENERATE_SAMPLES?"
    config.load(environ={"AGD_HOME": "/x", "AGD_OFFLINE": "1", "PATH": "/bin"}, files=[])


def test_flags_are_checked_too():
    assert _fails(flags={"generate.mode": "fast"}).message.endswith("It comes from flag --mode.")
    assert _fails(flags={"log.styl": "json"}).hint == "Did you mean log.style?"
    settings = config.load({"log.style": "json"}, environ={}, files=[])
    assert settings.section(LogSettings).style == "json"
    assert settings.origin("log.style") == "flag --log-style"


def test_a_whole_number_fits_a_float_and_none_fits_an_optional(tmp_path):
    path = _toml(tmp_path, "[generate]\ntemperature = 1\n")
    settings = config.load(environ={"AGD_STORE_URL": ""}, files=[path])
    temperature = settings.section(GenerateSettings).temperature
    assert isinstance(temperature, float)
    assert temperature == 1.0
    assert settings.section(StoreSettings).url is None


def test_an_unknown_origin_or_section_is_said():
    settings = config.load(environ={}, files=[])
    with pytest.raises(ConfigError, match=r"There is no setting 'generate.mod'"):
        settings.origin("generate.mod")
    with pytest.raises(ConfigError, match="The settings class int belongs to no section"):
        settings.section(int)


@dataclass(frozen=True, kw_only=True)
class ToySettings:
    """A section that an extension brings."""

    loud: bool = False


def test_a_registered_section_is_loaded_like_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "_REGISTRY", dict(config._REGISTRY))
    config.register("toy", ToySettings)
    config.register("toy", ToySettings)
    assert config.load(environ={"AGD_TOY_LOUD": "yes"}, files=[]).section(ToySettings).loud
    assert not config.load(environ={"AGD_TOY_LOUD": "0"}, files=[]).section(ToySettings).loud
    assert _fails(environ={"AGD_TOY_LOUD": "2"}).message.endswith("true or false is needed.")
    with pytest.raises(ConfigError, match="The section 'log' exists already"):
        config.register("log", ToySettings)
    with pytest.raises(ConfigError, match="The section 'x' is not a dataclass"):
        config.register("x", int)


def test_sections_check_themselves_when_made_in_python():
    with pytest.raises(ConfigError, match="only human, json are allowed"):
        LogSettings(style="pretty")


def test_the_launchers_floor_imports_the_standard_library_only():
    code = (
        "import sys; known = set(sys.modules);"
        "from agentic_diffusion.foundation import config, events, resources, randomness, errors, plugins, parallel;"
        "new = {name.split('.')[0] for name in set(sys.modules) - known};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'agentic_diffusion', '__mp_main__'}))"
    )
    source = str(Path(config.__file__).parents[2])
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
