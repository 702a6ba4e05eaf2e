"""A request's body, as far as it may go."""

from __future__ import annotations

from fastapi import HTTPException, Request


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Read a body.

    Raises:
        HTTPException: 413, it has more than `most_bytes`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413, f"the body may have at most {most_bytes:,} bytes")
    return bytes(body)
