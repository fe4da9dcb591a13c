"""Training data: every family by a row of our own, and every reason for which a row is not learned."""

import gzip
import json
from hashlib import blake2b

import pytest

from agentic_diffusion.domains.code import licences
from agentic_diffusion.domains.code.contamination import RUN, Benchmarks, hashed_runs
from agentic_diffusion.domains.code.corpus import CorpusSettings, build_corpus, data_files
from agentic_diffusion.domains.code.corpus_rows import FAMILIES, Example, family_of, read_example
from agentic_diffusion.domains.code.duplicates import WORDS
from agentic_diffusion.foundation.errors import ConfigError, UsageError

ADD = "def plus_two(n):\n    return n + 2\n"
ROWS = {
    "mbpp": {
        "text": "Write a function to add two.", "code": ADD.replace("\n", "\r\n"), "task_id": 3,
        "test_list": ["assert plus_two(1) == 3"], "license": "CC-BY-4.0",
    },
    "mbxp": {
        "task_id": "MBGP/3", "language": "go", "description": "Write a go function to add two.", "test": "func main()",
        "prompt": "package main\n\n// Write a go function\n// >>> plus_two(1)\nfunc plus_two (n int) int {\n",
        "canonical_solution": "    return n + 2\n}", "solution_passes": True, "license": "Apache-2.0",
    },
    "snippets": {
        "name": "addTwo", "doc": "Adds two\nto a number.\n\n- Uses `+`.", "code": "const addTwo = n => n + 2;\n",
        "example": "addTwo(1); // 3", "license": "CC0-1.0",
    },
    "doc_functions": {
        "language": "java", "name": "plusTwo", "doc": "Adds two.\n\n@param n a number", "license": "MIT",
        "code": "public static int plusTwo(int n) {\n    return n + 2;\n}", "repo": "own/own",
    },
    "repairs": {
        "task": "a", "language": "python", "id": "9", "faulty": "print(1)\n", "correct": "print(2)\n", "license": "MIT",
    },
    "puzzles": {
        "name": "Own:0", "sat": "def sat(n: int):\n    return n + 2 == 5", "sol_header": "def sol():",
        "sol_docstring": '    """Find n."""', "sol_bodies": ["    return 3"], "license": "MIT",
    },
    "programs": {
        "task_description": "Add two.", "input_output_spec": "n: int", "code_sample": "# main function\n" + ADD,
        "license": "Apache-2.0",
    },
    "lines": {"anno": "  import module warnings.", "code": " import warnings", "license": "MIT"},
    "files": {"path": "src/own.ts", "text": "export const two = 2;\n", "license": "MIT"},
    "examples": {"solution": ADD, "description": "Adds two.", "license": "MIT", "id": "own"},
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Write rows (or whole lines) as a gzip'd file of JSON lines and give its name and path."""

    def make(*rows, name="own"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        return name, path

    return make


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_is_known_by_its_fields_and_gives_an_example(family):
    row = ROWS[family]
    assert family_of(row) == family
    example = read_example(row, source="own", line=7)
    assert example.licence == row["license"]
    assert example.solution.strip()
    assert "\r" not in example.text
    assert example.id == f"own:{row.get('id', row.get('task_id', 7))}"
    back = read_example(json.loads(json.dumps(example.as_json())), source="again", line=1)
    assert (back.solution, back.description, back.language) == (example.solution, example.description, example.language)


def test_the_parts_of_an_example_are_told_apart():
    mbxp = read_example(ROWS["mbxp"], source="own", line=1)
    assert mbxp.signature == "func plus_two (n int) int"
    assert mbxp.solution == "package main\n\nfunc plus_two (n int) int {\n    return n + 2\n}\n"
    assert read_example(ROWS["mbpp"], source="own", line=1).signature == "def plus_two(n)"
    assert read_example(ROWS["doc_functions"], source="own", line=1).signature == "public static int plusTwo(int n)"
    assert read_example(ROWS["doc_functions"], source="own", line=1).description == "Adds two."
    assert read_example(ROWS["snippets"], source="own", line=1).description == "Adds two to a number."
    assert read_example(ROWS["snippets"], source="own", line=1).language == "javascript"
    assert read_example(ROWS["files"], source="own", line=1).language == "typescript"
    assert read_example(ROWS["repairs"], source="own", line=1).faulty == "print(1)\n"
    assert read_example(ROWS["puzzles"], source="own", line=1).tests.endswith("assert sat(sol())")


def test_a_solution_that_nobody_vouches_for_is_not_learned():
    assert read_example(ROWS["mbxp"] | {"solution_passes": False}, source="own", line=1) is None
    assert read_example(ROWS["mbxp"] | {"canonical_solution": None}, source="own", line=1) is None
    unsaid = {name: value for name, value in ROWS["mbxp"].items() if name != "solution_passes"}
    assert read_example(unsaid, source="own", line=1) is None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"text": ', r"Line 2 of .*own\.jsonl\.gz is no JSON"),
        ("[1]", r"Line 2 of .*own\.jsonl\.gz is no JSON object"),
        ({"a": 1}, r"Line 2 of .*own\.jsonl\.gz: it is in no known form; its fields are: a"),
        (ROWS["mbpp"] | {"code": 5}, "its field 'code' is no text"),
        (ROWS["mbpp"] | {"test_list": [1]}, "its field 'test_list' is no list of texts"),
        (ROWS["doc_functions"] | {"language": "cobol"}, "there is no language 'cobol'"),
        (ROWS["files"] | {"path": "a.rs"}, "there is no language '.rs'"),
    ],
)
def test_a_broken_line_is_refused_by_file_and_line_or_skipped_and_told(write, line, sentence):
    files = [write(ROWS["mbpp"], line, ROWS["lines"])]
    with pytest.raises(UsageError, match=sentence) as told:
        build_corpus(files, CorpusSettings())
    assert told.value.hint
    kept, report = build_corpus(files, CorpusSettings(broken_lines="skip"))
    assert len(kept) == 2
    assert report.dropped["own"] == {"broken line": 1}
    assert any("Line 2" in what for what in report.told)


def test_an_unknown_licence_is_refused_by_name(write):
    files = [write(ROWS["mbpp"], ROWS["lines"] | {"license": "GPL-3.0"}, ROWS["files"] | {"license": ""})]
    with pytest.raises(UsageError, match=r"Line 2 of .*\(own:2\): The licence 'GPL-3.0' is not one"):
        build_corpus(files, CorpusSettings())
    kept, report = build_corpus(files, CorpusSettings(unknown_licences="skip"))
    assert ([example.id for example in kept], report.dropped["own"]["licence"]) == (["own:3"], 2)
    assert any("It names no licence" in what for what in report.told)
    kept, _ = build_corpus(files, CorpusSettings(unknown_licences="skip", allowed_licences=("GPL-3.0",)))
    assert [example.licence for example in kept] == ["CC-BY-4.0", "GPL-3.0"]


def test_rows_without_a_licence_may_be_the_users_own(write):
    files = [write({"solution": ADD})]
    with pytest.raises(UsageError, match="names no licence"):
        build_corpus(files, CorpusSettings())
    kept, _ = build_corpus(files, CorpusSettings(licence=licences.OWN))
    assert kept[0].licence == "own"
    with pytest.raises(UsageError, match="The licence 'own' is not one"):
        build_corpus([write({"solution": ADD, "license": "own"})], CorpusSettings())


@pytest.mark.parametrize(
    ("given", "name"),
    [("MIT", "MIT"), ("bsd-3", "BSD-3-Clause"),
        ("EDL-1.0(BSD)", "EDL-1.0"), ("Apache-2.0 AND BSL-1.0", "Apache-2.0 AND BSL-1.0"),
     ("GPL-2.0 OR MIT", "MIT"), ("(MIT OR GPL-2.0)", "MIT")],
)  # fmt: skip
def test_licences_have_their_spdx_names(given, name):
    assert licences.permitted(given) == name


@pytest.mark.parametrize("given", ["GPL-3.0", "MIT AND GPL-3.0", "CC-BY-NC-4.0", "unknown"])
def test_other_licences_are_refused(given):
    with pytest.raises(UsageError, match="is not one that training data may have"):
        licences.permitted(given)


LONG = (
    "Write a function that takes a list of numbers and returns the sum of the squares of all even numbers in that list."
)


def _benchmark(write, *rows):
    benchmarks = Benchmarks()
    benchmarks.add_file(write(*rows, name="bench")[1])
    return benchmarks


def test_a_row_of_a_benchmark_is_refused_by_name_and_what_is_like_it_is_dropped(write):
    row = ROWS["mbpp"] | {"text": LONG}
    benchmarks = _benchmark(write, {"task_id": 12, "text": LONG, "code": ADD}, {"task_id": 13, "text": "Add two."})
    with pytest.raises(UsageError, match=r"own:3 is a row of a benchmark \(bench.jsonl.gz, row 12\)"):
        build_corpus([write(row)], CorpusSettings(), benchmarks=benchmarks)
    like = row | {"code": "def other(xs):\n    return sum(x * x for x in xs if x % 2 == 0)\n", "task_id": 4}
    short = row | {"text": "Add two.", "task_id": 5, "code": "def two(x):\n    return x + 1 + 1\n"}
    clean = row | {"text": "Subtract two.", "task_id": 6, "code": "def less(x):\n    return x - 2\n"}
    settings = CorpusSettings(benchmark_rows="skip")
    kept, report = build_corpus([write(row, like, short, clean)], settings, benchmarks=benchmarks)
    assert [example.id for example in kept] == ["own:6"]
    assert report.dropped["own"] == {"benchmark": 3}
    told = "\n".join(report.told)
    assert "own:4 shares" in told
    assert "own:5 asks the question of bench.jsonl.gz, row 13" in told


def test_five_shared_runs_are_kept_and_six_are_not(write):
    words = [f"w{place}" for place in range(40)]
    benchmarks = _benchmark(write, {"task_id": 1, "text": " ".join(words)})
    for shared in (5, 6):
        text = " ".join(words[: RUN + shared - 1])
        example = Example(id="a", source="s", language="python", licence="MIT", solution=text)
        assert len(hashed_runs(text)) == shared
        assert (benchmarks.contact(example) is None) == (shared == 5)


def test_runs_that_many_rows_share_are_nobodys(write):
    header = " ".join(f"import{place}" for place in range(30))
    rows = [{"task_id": place, "prompt": header, "text": f"task {place}"} for place in range(12)]
    example = Example(id="a", source="s", language="go", licence="MIT", solution=header)
    assert _benchmark(write, *rows).contact(example) is None
    assert _benchmark(write, *rows[:5]).contact(example) is not None


def test_hashed_runs_are_found_as_open_ones_are(tmp_path):
    words = WORDS.findall(LONG)
    runs = [" ".join(words[place : place + RUN]) for place in range(len(words) - RUN + 1)]
    records = sorted(blake2b(run.encode(), digest_size=8).digest() for run in runs)
    path = tmp_path / "runs.bin.gz"
    path.write_bytes(gzip.compress(b"".join(records)))
    benchmarks = Benchmarks()
    benchmarks.add_hashed(path)
    example = Example(id="a", source="s", language="python", licence="MIT", solution=ADD, description=LONG)
    assert benchmarks.contact(example).runs == len(records)
    assert benchmarks.contact(Example(id="a", source="s", language="go", licence="MIT", solution=ADD)) is None
    for wrong in (b"".join(reversed(records)), b"123", b""):
        path.write_bytes(gzip.compress(wrong))
        with pytest.raises(UsageError, match="no sorted records of 8 bytes"):
            Benchmarks().add_hashed(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(UsageError, match="cannot be read"):
        Benchmarks().add_hashed(path)


def test_a_benchmark_that_cannot_be_read_is_refused(write):
    with pytest.raises(UsageError, match="cannot be held against the data: it is empty"):
        Benchmarks().add_file(write("")[1])
    with pytest.raises(UsageError, match="line 1 is no JSON object"):
        Benchmarks().add_file(write("[1]")[1])


def test_the_report_counts_every_row_once(write):
    rows = [ROWS["mbpp"], ROWS["mbpp"], ROWS["files"], ROWS["files"] | {"text": "x" * 99}, "{", ROWS["doc_functions"]]
    settings = CorpusSettings(longest=90, broken_lines="skip", languages=("python", "typescript"))
    kept, report = build_corpus([write(*rows)], settings)
    assert report.dropped["own"] == {"equal": 1, "too long": 1, "broken line": 1, "language": 1}
    assert report.rows.total() == len(kept) + report.dropped["own"].total() == 6
    assert report.as_json()["sources"]["own"]["kept"] == 2
    assert report.table().splitlines()[-1] == "| all | 6 | 2 | 1 | 1 | 1 | 1 |"
    assert len(report.checksums["own"]) == 64


def test_files_are_found_and_thinned(write, tmp_path):
    write(*[ROWS["lines"] | {"code": f"x = {place}"} for place in range(10)], name="a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jsonl").write_text(json.dumps(ROWS["files"]))
    files = data_files(tmp_path)
    assert [name for name, _ in files] == ["a", "sub/b"]
    kept, _ = build_corpus(files, CorpusSettings(rows_per_file=4))
    assert [example.id for example in kept] == ["a:1", "a:3", "a:6", "a:8", "sub/b:1"]
    with pytest.raises(UsageError, match="There are no training data at"):
        data_files(tmp_path / "none")


@pytest.mark.parametrize("wrong", [{"longest": 0}, {"rows_per_file": 0}, {"broken_lines": "ignore"}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        CorpusSettings(**wrong)
