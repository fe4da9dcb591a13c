"""The code model as the generator sees it: parent, adapter and tokenizer, loaded together.

The parent comes from the model folder. The adapter that ships with the package belongs to the default model: one of
another shape is refused, and with other weights of the same shape a warning says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.codegen.constraint import Constraint
from agentic_diffusion.codegen.endings import ClosedBrace, TopLevelLine, brace_tokens
from agentic_diffusion.diffusion.backbones.adapter import load_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.domains.code import grammar
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import ModelFileError
from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.foundation.resources import cpu_features, require_memory, usable_cpus
from agentic_diffusion.installer import models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Bool
    from torch import Tensor

    from agentic_diffusion.codegen.endings import AnswerEnd
    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.domains.code.languages.language import Language
    from agentic_diffusion.domains.code.tokenizer import Prompt
    from agentic_diffusion.foundation.settings import ModelSettings

ADAPTER = Path(__file__).parent.parent / "diffusion" / "weights" / "block-adapter.safetensors"
"""The adapter that ships with the package."""

_BF16_CPUS = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True)
class Coder:
    """A loaded code model."""

    parent: Llama
    """The autoregressive parent."""
    adapter: Adapter | None
    """The block adapter; None leaves only mode `ar`."""
    tokenizer: CodeTokenizer
    """Text to ids and back."""
    weights: str
    """SHA-256 of the adapter's file, or of the parent's where there is no adapter."""
    holes: str = ""
    """Form of holes that the adapter was trained on, see `infill_prompt.FORMS`; "" where it saw none."""

    @cached_property
    def top_level_line(self) -> TopLevelLine:
        """The rule that ends an answer at a line that belongs to something else."""
        return TopLevelLine(self.tokenizer, self.parent.shape.vocabulary)

    @cached_property
    def brace_tokens(self) -> Bool[Tensor, " V"]:
        """Which tokens have a closing brace in them."""
        return brace_tokens(self.tokenizer, self.parent.shape.vocabulary)

    @cached_property
    def token_texts(self) -> tuple[str, ...]:
        """The text of every token of the vocabulary; special ones have none."""
        return tuple(self.tokenizer.decode([token]) for token in range(self.parent.shape.vocabulary))

    @cached_property
    def _constraints(self) -> dict[str, Constraint]:
        return {}

    def constraint(self, language: str) -> Constraint | None:
        """The grammar of a language over this model's tokens, compiled once; None where the language has none."""
        if language not in grammar.names():
            return None
        if language not in self._constraints:
            enders = (self.parent.shape.eos_id, self.tokenizer.fence_id)
            self._constraints[language] = Constraint(
                language, self.tokenizer, vocabulary=self.parent.shape.vocabulary, enders=enders
            )
        return self._constraints[language]

    def answer_end(self, language: Language, prompt: Prompt) -> AnswerEnd | None:
        """The rule that ends an answer after the function that the prompt opened; None where it opened none."""
        if not prompt.opening or language.body_ends == "fence":
            return None
        if language.body_ends == "dedent":
            return self.top_level_line
        return ClosedBrace(self.tokenizer, self.brace_tokens, opening=prompt.opening, begin=len(prompt.tokens))

    @classmethod
    def load(cls, settings: ModelSettings, *, adapter: Path | None = ADAPTER) -> Coder:
        """Load the model that the settings name; ModelFileError when it is missing or damaged.

        Sets the number of threads of the tensor library. `adapter=None` loads the parent alone; in the place of the
        adapter that ships comes the one that the settings name.
        """
        if adapter == ADAPTER and settings.adapter:
            adapter = Path(settings.adapter).expanduser()
        folder = model_folder(settings.name)
        size = (folder / "model.safetensors").stat().st_size
        dtype = choose_dtype(settings.dtype)
        require_memory(size * (2 if dtype == torch.float32 else 1) + (256 << 20), "loading the model")
        torch.set_num_threads(settings.threads or usable_cpus())
        parent = Llama.load(folder, dtype=dtype)
        loaded, holes = None, ""
        if adapter is not None:
            loaded, config = load_adapter(adapter, parent)
            holes = str(config.get("holes", ""))
            if not _belongs(config, folder):
                get_logger(__name__).warning("the adapter was trained on other weights than those in %s", folder)
        weights = checksum(adapter if adapter is not None else folder / "model.safetensors")
        return cls(parent, loaded, CodeTokenizer.load(folder), weights, holes)

    @classmethod
    def for_mode(cls, settings: ModelSettings, mode: str) -> Coder:
        """`load` for one decoding mode: in mode `ar` the parent writes alone, and no adapter is read."""
        return cls.load(settings, adapter=None if mode == "ar" else ADAPTER)

    def decoder(self, settings: DecodeSettings) -> BlockDecoder:
        """A decoder with these settings; a closing code fence ends an answer."""
        return BlockDecoder(self.parent, self.adapter, settings)


def model_folder(name: str) -> Path:
    """The folder of a model: of that name in the manifest, or where `name` is a path (it holds a separator)."""
    if "/" not in name:
        return models.require(name)
    folder = Path(name).expanduser()
    if not (folder / "model.safetensors").is_file():
        raise ModelFileError(
            f"The folder {folder} holds no model.safetensors.", hint="name a converted model's folder, or `default`."
        )
    return folder


def _belongs(config: Mapping[str, object], folder: Path) -> bool:
    """Whether the adapter was trained on the weights of `folder`; True where set-up noted no checksum of them."""
    try:
        noted = json.loads((folder / "checksums.json").read_text())["files"]["model.safetensors"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return config.get("parent_sha256") in (None, noted)


def choose_dtype(name: str) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively (elsewhere it is several times slower), else float32."""
    if name == "auto":
        return torch.bfloat16 if cpu_features() & _BF16_CPUS else torch.float32
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
