"""`python -m training <stage> --folder build/tiny --minutes N`."""

import argparse
import sys
from pathlib import Path

from loguru import logger

from csm_plugin.errors import CSMError

STAGES = ("corpus", "codebooks", "ear", "decoder", "encoder", "gate", "lm", "export", "listen", "bundle", "keep")


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train csm-tiny, stage by stage.")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--folder", type=Path, default=Path("build/tiny"), help="where the stages keep their files")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to work; every stage can be resumed")
    parser.add_argument("--hours", type=float, default=None, help="corpus: hours to make (30); lm: hours to use (all)")
    parser.add_argument(
        "--steps", type=int, default=None, help="ear, decoder, encoder, lm: steps the schedule is planned for"
    )
    parser.add_argument("--batch", type=int, default=None, help="ear, decoder, encoder, lm: crops or examples a step")
    parser.add_argument("--device", default="auto", help="ear, decoder, encoder, lm: cpu, cuda or auto")
    chosen = parser.parse_args(arguments)
    try:
        _run(chosen)
    except CSMError as error:
        logger.error("{}", error)
        return 1
    return 0


def _run(chosen: argparse.Namespace) -> None:
    # a stage is imported when it is run: the corpus needs no torch, the decoder no recogniser
    if chosen.stage == "corpus":
        from training.corpus import corpus

        corpus.run(chosen.folder, chosen.minutes, chosen.hours or 30.0)
    elif chosen.stage == "codebooks":
        from training.codec import codebooks

        codebooks.run(chosen.folder)
    elif chosen.stage == "ear":
        from training.codec import ear

        ear.run(chosen.folder, chosen.minutes, chosen.steps, chosen.device, chosen.batch)
    elif chosen.stage == "decoder":
        from training.codec import decoder

        decoder.run(chosen.folder, chosen.minutes, chosen.steps, chosen.device, chosen.batch)
    elif chosen.stage == "encoder":
        from training.codec import encoder

        encoder.run(chosen.folder, chosen.minutes, chosen.steps, chosen.device, chosen.batch)
    elif chosen.stage == "gate":
        from training.codec import gate

        gate.run(chosen.folder)
    elif chosen.stage == "lm":
        from training.lm import language_model

        language_model.run(chosen.folder, chosen.minutes, chosen.steps, chosen.device, chosen.batch, chosen.hours)
    elif chosen.stage == "export":
        from training.bundle import export

        export.run(chosen.folder)
    elif chosen.stage == "listen":
        from rich.console import Console

        from csm_plugin.evaluation import terminal
        from csm_plugin.evaluation.evaluation import Order
        from training import files
        from training.bundle import export

        checkpoint = files.require(chosen.folder / export.FOLDER, export.STAGE)
        terminal.run(Order(str(checkpoint)), chosen.folder / "evaluation", Console(stderr=True))
    elif chosen.stage == "bundle":
        from training.bundle import bundle

        bundle.run(chosen.folder)
    else:
        from training.bundle import keep

        keep.run(chosen.folder)


if __name__ == "__main__":
    sys.exit(main())
