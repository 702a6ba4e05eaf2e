"""How failures are logged: with what one needs to find them, and nothing of what was spoken."""

import traceback

from loguru import logger


def log_failure(what: str, error: BaseException) -> None:
    """Log an error with its traceback, but without the values of variables, which may hold what is spoken.

    The variables are let go of: whoever holds the error would hold the tensors among them.
    """
    logger.error("{}\n{}", what, "".join(traceback.format_exception(error)).rstrip())
    traceback.clear_frames(error.__traceback__)
