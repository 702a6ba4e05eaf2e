"""The bundle stage: the exported checkpoint, with the figures of its evaluation, into the package."""

import shutil
from pathlib import Path
from typing import Any

from loguru import logger

from csm_plugin.model.checkpoint import BUNDLED, DIGESTS, digests
from training import files
from training.bundle import export
from training.errors import TrainingError

_MOST_BYTES = 24_000_000


def run(folder: Path, bundled: Path = BUNDLED) -> Path:
    """Put the exported checkpoint into the package: its card says how good it is, its digests are pinned.

    Args:
        folder: of the stages.
        bundled: the package's folder of checkpoints.

    Returns:
        The checkpoint's folder in the package.

    Raises:
        MissingInput: nothing was exported, or it was not judged.
        TrainingError: it is too large for the package.
    """
    source = files.require(folder / export.FOLDER, export.STAGE)
    judged = files.read_json(folder / "evaluation" / "evaluation.json", "listen")
    place, beside = bundled / export.FOLDER, bundled / f"{export.FOLDER}.part"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(source, beside)
    card = beside / "README.md"
    files.write_bytes(card, (card.read_text(encoding="utf-8") + figures(judged["rows"])).encode())
    files.write_bytes(beside / DIGESTS, "".join(f"{d}  {name}\n" for name, d in digests(beside).items()).encode())
    size = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file())
    if size > _MOST_BYTES:
        shutil.rmtree(beside)
        raise TrainingError(f"{source} has {size / 1e6:.1f} MB; the package takes {_MOST_BYTES / 1e6:.0f} MB")
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    logger.info("bundled in {}: {:.1f} MB", place, size / 1e6)
    return place


def figures(rows: list[dict[str, Any]]) -> str:
    """The section of the card that says how good the checkpoint is.

    Args:
        rows: of the evaluation's table.
    """
    lines = ["", "## Measured", "", "By `csm eval`; what each row means is in the documentation.", ""]
    lines += ["| | measured | goal | in detail |", "|---|---|---|---|"]
    lines += [f"| {row['name']} | {row['figure']} | {row['goal']} | {row['more']} |" for row in rows]
    return "\n".join(lines) + "\n"
