"""What is asked for, and how it is put to the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.choice import speaks_of
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.testing import python_suite

if TYPE_CHECKING:
    from agentic_diffusion.domains.code.languages.language import Language
    from agentic_diffusion.domains.code.style import StyleProfile
    from agentic_diffusion.domains.code.tokenizer import CodeTokenizer, Prompt
    from agentic_diffusion.foundation.settings import GenerateSettings
    from agentic_diffusion.testing.suite import Suite

_NAME = re.compile(r"([\w$]+)\s*(?:=\s*(?:async\s*)?(?:function\s*)?)?\(")
"""The name in the head of a function: the word before its arguments, or before `= (` where it is given a value."""
_NOUN = re.compile(r"\b(a(?=n?\b)|the)n?\s+((?:\w+\s+)?(?:function|method|program))\b", re.IGNORECASE)
_UNSAID = "python"


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """A prompt, the tests that decide, and the limits of the search."""

    prompt: str
    """What the program shall do, in words."""
    suite: Suite | None = None
    """Tests; without them nothing is verified."""
    language: str = "python"
    """Language of the program."""
    style: StyleProfile | None = None
    """Habits that the prompt asks for and that decide between candidates that are otherwise alike."""
    batch: int = 8
    """Candidates denoised together after the first, greedy one."""
    candidates: int | None = None
    """Most candidates to try; None is as many as the budget allows, and one where there are no tests."""
    seconds: float = 60.0
    """Budget of the whole request."""
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    """How blocks are denoised; its temperature is that of the batches, the first candidate is greedy."""
    case_seconds: float = 10.0
    """Limit of one candidate's run on the suite."""
    memory_bytes: int = 512 << 20
    """Memory limit of one candidate."""
    constraint: bool = True
    """Whether the grammar of the language, where it has one, holds every candidate to what parses."""

    def __post_init__(self) -> None:
        """Check the prompt and the limits."""
        if not self.prompt.strip():
            raise UsageError("The prompt is empty.", hint='say what to write: agd generate "Write a function ..."')
        if "\0" in self.prompt:
            raise UsageError(
                "The prompt holds a NUL character, so it is no text.", hint="give the prompt as UTF-8 text."
            )
        # Bytes of an argument or of standard input that are not UTF-8 arrive as lone surrogates.
        if any("\ud800" <= character <= "\udfff" for character in self.prompt):
            raise UsageError("The prompt is not UTF-8 text.", hint="give the prompt as UTF-8 text.")
        if self.batch < 1 or (self.candidates is not None and self.candidates < 1):
            raise UsageError("At least one candidate is needed.", hint="use -n 8, or leave it out.")
        if not self.seconds > 0:
            raise UsageError(f"A budget of {self.seconds} seconds leaves no time.", hint="use --budget 60s.")


def decode_settings(chosen: GenerateSettings, *, seed: int) -> DecodeSettings:
    """The decoder's settings out of the user's; mode `ar` is a block of one token."""
    return DecodeSettings(
        mode=chosen.mode,
        block=1 if chosen.mode == "ar" else chosen.block,
        threshold=chosen.threshold,
        temperature=chosen.temperature,
        top_p=chosen.top_p,
        max_new_tokens=chosen.max_new_tokens,
        seed=seed,
    )


def build_prompt(request: GenerationRequest, language: Language, tokenizer: CodeTokenizer) -> Prompt:
    """The chat form: the prompt, one test as an example, and the head of the function that the tests call."""
    text = spoken_prompt(request.prompt.strip(), language)
    if request.style is not None and (habits := request.style.sentence()):
        text += f"\n{habits}"
    name = function_name(request, language)
    if request.suite is not None:
        example = first_assertion(request.suite, language)
        if example:
            text += f"\nYour code should pass this test:\n{example}"
    return tokenizer.chat(text, language=language.fences[0], opening=language.opening(name) if name else "")


def spoken_prompt(prompt: str, language: Language) -> str:
    """The prompt with the language in it: "Write a Go function ...", unless it says so already.

    Small models write Python unless they are told otherwise, so a prompt for Python stays as it is.
    """
    if language.name == _UNSAID or speaks_of(prompt, language):
        return prompt
    told, count = _NOUN.subn(rf"\1 {language.title} \2", prompt, count=1)  # "an even" becomes "a Go even"
    return told if count else f"{prompt}\nWrite it in {language.title}."


def function_name(request: GenerationRequest, language: Language) -> str | None:
    """The one function that prompt or tests name, else None."""
    signature = language.signature(request.prompt)
    head = _NAME.search(signature) if signature else None
    spoken = head[1] if head else None
    if request.suite is None:
        return spoken
    tested = _tested_names(request.suite, language)
    if spoken in tested:
        return spoken
    return next(iter(tested)) if len(tested) == 1 else None


def first_assertion(suite: Suite, language: Language) -> str | None:
    """The first assertion of the suite that stands whole on one line, shown to the model as an example."""
    if language.harness is not None:
        return language.harness.example(suite.source)
    lines = (line.strip() for line in suite.source.splitlines())
    shown = (line for line in lines if line.startswith("assert ") and len(line) < 200)
    return next((line for line in shown if language.parse_error(line) is None), None)


def _tested_names(suite: Suite, language: Language) -> frozenset[str]:
    if language.harness is not None:
        return language.harness.tested_names(suite.source)
    return frozenset(python_suite.tested_names(python_suite.parse(suite.source)))
