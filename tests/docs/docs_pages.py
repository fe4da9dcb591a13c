"""The pages of the repository, and the scripts beside them loaded as modules."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def script(path: str) -> ModuleType:
    """A script of `docs/` or `benchmarks/` as a module; while it is loaded its folder is on the path."""
    place = ROOT / path
    if place.stem in sys.modules and getattr(sys.modules[place.stem], "__file__", None) == str(place):
        return sys.modules[place.stem]
    spec = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(place.parent))
    try:
        sys.modules[place.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(place.parent))
    return module


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of these languages."""
    text = page.read_text(encoding="utf-8")
    return [match[2] for match in FENCE.finditer(text) if match[1] in languages]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))
