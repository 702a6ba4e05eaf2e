"""The pages at `/`, to type and hear, and at `/docs`, to try each route.

They need nothing but this server, and ask for a key where one is needed.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from starlette.responses import FileResponse

from csm_plugin.server.shared.service import Service

FOLDER = Path(__file__).parents[1] / "page"
PARTS = (
    "page.css",
    "page.js",
    "docs.css",
    "docs.js",
    "door.js",
    "line.js",
    "player.js",
    "recorder.js",
    "voices.js",
    "wav.js",
    "wave.js",
)
FILES = {f"/page/{name}": FOLDER / name for name in PARTS} | {
    "/": FOLDER / "index.html",
    "/docs": FOLDER / "docs.html",
}
PATHS = frozenset(FILES)
"""What a browser may fetch without a key: it cannot send one before the page has asked for it."""

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src data:; media-src blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(include_in_schema=False)

    def add(path: str, file: Path) -> None:
        @routes.get(path)
        async def page() -> Response:
            return FileResponse(file, headers=HEADERS)

    for path, file in FILES.items():
        add(path, file)
    return routes
