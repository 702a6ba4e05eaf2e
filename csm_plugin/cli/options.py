"""Options that more than one subcommand takes, and the engine that they describe."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from csm_plugin.interruption import in_thread, result_of

if TYPE_CHECKING:
    from csm_plugin.engine import Engine
    from csm_plugin.model.opened import Parts

DEFAULT_MODEL = "csm-tiny"


def default_model() -> str:
    """Give the model that is meant when none is named: `CSM_MODEL`, else the bundled one."""
    return os.environ.get("CSM_MODEL") or DEFAULT_MODEL


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and `--device`."""
    parser.add_argument(
        "--model",
        default=default_model(),
        help="bundled name, folder, or Hugging Face id (default: $CSM_MODEL, else csm-tiny; now %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, … (default: %(default)s)")


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Add what a model is completed with: `--adapter`, `--codec`, `--tokenizer`, `--head-dims`."""
    group = parser.add_argument_group("what a model is completed with, each a folder or hub id")
    group.add_argument("--adapter", metavar="ID", help="a LoRA adapter in PEFT's form, merged into the weights")
    group.add_argument("--codec", metavar="ID", help="the codec of a model without one (default: kyutai/mimi)")
    group.add_argument("--tokenizer", metavar="ID", help="the tokenizer of a model without one")
    group.add_argument(
        "--head-dims",
        type=int,
        nargs=2,
        metavar=("BACKBONE", "DEPTH"),
        help="how wide heads are, for a flavour of the original code that is not known",
    )


def parts_of(options: argparse.Namespace) -> Parts:
    """Return what a model is completed with.

    Raises:
        SettingsError: an option makes no sense.
    """
    from csm_plugin.model.opened import Parts

    dims = None if options.head_dims is None else tuple(options.head_dims)
    return Parts(options.adapter, options.codec, options.tokenizer, dims)


def check_model(model: str, voices: Iterable[str] = ()) -> None:
    """Find a model, and voices for it, before torch is imported. One on the hub is fetched, and shows its progress.

    Args:
        voices: names that it, or the user's own folder, must have.

    Raises:
        CheckpointError: it cannot be had; the message says what to do.
        VoiceError: there is no such voice, or its files cannot be used.
    """
    from csm_plugin.conversation.voices import VoiceLibrary
    from csm_plugin.model.checkpoint import find_checkpoint

    folder = find_checkpoint(model)
    library = VoiceLibrary.beside(folder)
    for voice in voices:
        library.get(voice)


def load_engine(model: str, device: str, parts: Parts | None = None) -> Engine:
    """Load an engine for one conversation, in a thread, so that Ctrl-C is heard meanwhile.

    Args:
        parts: what the model is completed with.

    Raises:
        CSMError: the model cannot be loaded; the message says what to do.
    """
    completed = {} if parts is None else dataclasses.asdict(parts)

    def load() -> Engine:
        from csm_plugin.engine import Engine

        return Engine.load(model, device=device, max_conversations=1, **completed)

    return result_of(in_thread(load))
