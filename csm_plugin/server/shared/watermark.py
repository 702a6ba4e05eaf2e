"""What may be asked about watermarks. This version writes none: whoever demands one is refused, and never ignored."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from csm_plugin.server.shared.errors import Refusal

KEY_NUMBERS = 5
WatermarkKey = Annotated[
    tuple[Annotated[int, Field(ge=0, le=65_535)], ...], Field(min_length=KEY_NUMBERS, max_length=KEY_NUMBERS)
]
"""Five whole numbers."""


def refuse_watermark(asked: bool | None, key: WatermarkKey | None, *, otherwise: bool) -> None:
    """Make sure that no watermark is demanded.

    Args:
        asked: what a request says, None if it says nothing.
        key: the key that it gives.
        otherwise: what holds where a request says nothing.

    Raises:
        Refusal: one is demanded.
    """
    if asked or (asked is None and (key is not None or otherwise)):
        raise Refusal(
            "a watermark is demanded, and this version writes none; send watermark: false, or let the server be run "
            "without CSM_WATERMARK_ENABLED and CSM_WATERMARK_KEY", status=422, code="no_watermark", param="watermark",
        )  # fmt: skip
