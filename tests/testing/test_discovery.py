"""Which files hold tests, of which kind they are, and by which rule."""

import json
from pathlib import Path

import pytest

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing import discovery
from agentic_diffusion.testing.project import open_project

JUNIT = "import org.junit.jupiter.api.Test;\nclass X { @Test void a() {} }\n"
FILES = {
    "pyproject.toml": "",
    "tests/test_plain.py": "def test_a(): pass\n",
    "tests/helper.py": "def test_a(): pass\n",
    "tests/integration/test_folder.py": "",
    "tests/test_mark.py": "import pytest\npytestmark = pytest.mark.system\n",
    "tests/test_integration_store.py": "",
    "web/a.test.js": "",
    "web/b.e2e.spec.ts": "",
    "web/__tests__/inner.js": "test('a', () => {});\n",
    "web/__tests__/helper.js": "module.exports = 1;\n",
    "node_modules/x/x.test.js": "",
    "src/test/java/AppTest.java": JUNIT,
    "src/test/java/StoreIT.java": JUNIT,
    "src/test/java/MainTest.java": "class MainTest { public static void main(String[] a) {} }\n",
    "src/test/java/BaseTest.java": "class BaseTest {}\n",
    "go/a_test.go": "package a\n",
    "go/b_test.go": "//go:build integration\n\npackage a\n",
}


def build(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def project(tmp_path):
    return open_project(build(tmp_path, FILES))


def test_every_language_has_its_names_and_kinds(project):
    found = {one.path: (one.language, one.framework, one.kind, one.rule) for one in discovery.find(project)}
    default = "default: no folder, marker or name says otherwise"
    assert found == {
        "go/a_test.go": ("go", "go", "unit", default),
        "go/b_test.go": ("go", "go", "integration", "marker integration"),
        "src/test/java/AppTest.java": ("java", "junit", "unit", default),
        "src/test/java/MainTest.java": ("java", "main", "unit", default),
        "src/test/java/StoreIT.java": ("java", "junit", "integration", "name StoreIT.java"),
        "tests/integration/test_folder.py": ("python", "pytest", "integration", "folder integration"),
        "tests/test_integration_store.py": ("python", "pytest", "integration", "name test_integration_store.py"),
        "tests/test_mark.py": ("python", "pytest", "system", "marker system"),
        "tests/test_plain.py": ("python", "pytest", "unit", default),
        "web/__tests__/inner.js": ("javascript", "node", "unit", default),
        "web/a.test.js": ("javascript", "node", "unit", default),
        "web/b.e2e.spec.ts": ("typescript", "node", "system", "name b.e2e.spec.ts"),
    }


def test_a_file_that_is_named_needs_no_name_of_a_test(project):
    [found] = discovery.find(project, [project.root / "tests" / "helper.py"])
    assert found.path == "tests/helper.py"


def test_the_projects_own_names_of_files_count(tmp_path):
    settings = '[tool.pytest.ini_options]\npython_files = ["check_*.py"]\n'
    project = open_project(build(tmp_path, {"pyproject.toml": settings, "check_a.py": "", "test_b.py": ""}))
    assert [one.path for one in discovery.find(project)] == ["check_a.py"]


@pytest.mark.parametrize("framework", ["vitest", "jest"])
def test_the_nearest_manifest_names_the_runner_of_scripts(tmp_path, framework):
    manifest = json.dumps({"devDependencies": {framework: "^1"}})
    files = {".git/x": "", "web/package.json": manifest, "web/a.test.ts": "", "other/b.test.ts": ""}
    files["web/own.test.js"] = "import { test } from 'node:test';\n"
    found = {one.path: one.framework for one in discovery.find(open_project(build(tmp_path, files)))}
    assert found == {"web/a.test.ts": framework, "other/b.test.ts": "node", "web/own.test.js": "node"}


def test_a_package_of_go_is_run_at_once(project):
    units = {one.unit for one in discovery.find(project) if one.language == "go"}
    assert units == {"go"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.py", "There is no file or folder "),
        ("notes.txt", "No tests can be run in notes.txt."),
        ("..", " lies outside of the project at "),
    ],
)
def test_wrong_paths_are_told_in_a_sentence(project, name, sentence):
    (project.root / "notes.txt").write_text("")
    with pytest.raises(UsageError) as caught:
        discovery.find(project, [project.root / name])
    assert sentence in caught.value.message
    assert caught.value.hint


def test_the_root_is_the_nearest_folder_with_a_mark(tmp_path):
    build(tmp_path, {"pyproject.toml": "", "a/go.mod": "", "a/b/c.go": "", "d/e.py": ""})
    assert open_project(tmp_path / "a" / "b" / "c.go").root == tmp_path / "a"
    assert open_project(tmp_path / "d").root == tmp_path
    with pytest.raises(UsageError, match="There is no file or folder"):
        open_project(tmp_path / "none")
