"""The keep stage: the states of codec and language model, small enough to be kept under version control."""

from pathlib import Path

from loguru import logger

from csm_plugin.training import checkpoint, codec, language_model

FOLDER = "keep"


def run(folder: Path) -> Path:
    """Write what there is of the two states into `keep`. Copied back to the folder, a run goes on from them.

    Returns:
        The folder with the small states.

    Raises:
        MissingInput: the codec has not been trained at all.
    """
    place = folder / FOLDER
    checkpoint.shrink(folder / codec.STATE, place / codec.STATE, codec.STAGE)
    if (folder / language_model.STATE).exists():
        # of the two sets of weights the averaged one is kept: it is what speaks
        checkpoint.shrink(folder / language_model.STATE, place / language_model.STATE, language_model.STAGE, ("model",))
    logger.info("kept in {}: {:.1f} MB", place, sum(path.stat().st_size for path in place.iterdir()) / 1e6)
    return place
