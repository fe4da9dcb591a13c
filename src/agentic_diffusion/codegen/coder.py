"""The code model as the generator sees it: parent, adapter and tokenizer, loaded together.

The parent comes from the model folder; the adapter that ships with the package belongs to the default model and is
refused with any other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from agentic_diffusion.diffusion.backbones.adapter import load_adapter
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder, DecodeSettings
from agentic_diffusion.diffusion.checkpoint import checksum
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.resources import cpu_features, require_memory, usable_cpus
from agentic_diffusion.installer import models

if TYPE_CHECKING:
    from agentic_diffusion.diffusion.backbones.adapter import Adapter
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

    @classmethod
    def load(cls, settings: ModelSettings, *, adapter: Path | None = ADAPTER) -> Coder:
        """Load the model that the settings name; ModelFileError when it is missing or damaged.

        Sets the number of threads of the tensor library. `adapter=None` loads the parent alone.
        """
        folder = model_folder(settings.name)
        size = (folder / "model.safetensors").stat().st_size
        dtype = choose_dtype(settings.dtype)
        require_memory(size * (2 if dtype == torch.float32 else 1) + (256 << 20), "loading the model")
        torch.set_num_threads(settings.threads or usable_cpus())
        parent = Llama.load(folder, dtype=dtype)
        loaded = load_adapter(adapter, parent)[0] if adapter is not None else None
        weights = checksum(adapter if adapter is not None else folder / "model.safetensors")
        return cls(parent, loaded, CodeTokenizer.load(folder), weights)

    def decoder(self, settings: DecodeSettings) -> BlockDecoder:
        """A decoder with these settings; a closing code fence ends an answer."""
        return BlockDecoder(self.parent, self.adapter, settings)


def model_folder(name: str) -> Path:
    """The folder of a model: `name` itself where it is one, else that of the model called so in the manifest."""
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else models.require(name)


def choose_dtype(name: str) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively (elsewhere it is several times slower), else float32."""
    if name == "auto":
        return torch.bfloat16 if cpu_features() & _BF16_CPUS else torch.float32
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
