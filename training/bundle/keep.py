"""The keep stage: the states of all stages, small enough to be kept under version control."""

from pathlib import Path

from loguru import logger

from training import files
from training.codec import codebooks, decoder, ear, encoder
from training.lm import language_model
from training.steps import checkpoint

FOLDER = "keep"
# of two sets of weights the averaged one is kept: it is what is used
_STATES = (
    (codebooks.STATE, codebooks.STAGE, ()),
    (ear.STATE, ear.STAGE, ()),
    (decoder.STATE, decoder.STAGE, ("trained",)),
    (encoder.STATE, encoder.STAGE, ("trained",)),
    (language_model.STATE, language_model.STAGE, ("model",)),
)


def run(folder: Path) -> Path:
    """Write what there is of the states into `keep`. Copied back to the folder, training goes on from them.

    Returns:
        The folder with the small states.

    Raises:
        MissingInput: there are not even codebooks.
    """
    place = folder / FOLDER
    files.require(folder / codebooks.STATE, codebooks.STAGE)
    for state, stage, without in _STATES:
        if (folder / state).exists():
            checkpoint.shrink(folder / state, place / state, stage, without)
    logger.info("kept in {}: {:.1f} MB", place, sum(path.stat().st_size for path in place.iterdir()) / 1e6)
    return place
