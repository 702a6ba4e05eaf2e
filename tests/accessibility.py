"""What a page must be for everybody: axe-core finds nothing, it fits its screen, and a keyboard reaches all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
SIZES = ((375, 667), (768, 1024), (1280, 800), (1920, 1080))
SCHEMES = ("light", "dark")
MOST_STOPS = 60

# What has the focus, as a screen reader calls it; None where nothing has. It must be seen to have it.
_STOP = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(at);
  const box = at.getBoundingClientRect();
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent || at.id;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return { name: name.trim(), shown: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && inside };
}"""


def everywhere(page: Page) -> Iterator[str]:
    """Bring a page to each size and colour scheme, without movement; give a name for each; then back to the second."""
    before = page.viewport_size
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            yield f"{width}-{scheme}"
    page.emulate_media(color_scheme="null", reduced_motion="null")
    if before is not None:
        page.set_viewport_size(before)


def check_for_everybody(page: Page, pictures: Path | None = None) -> None:
    """Hold a page to axe-core's rules and to its own width, at all sizes and in both colour schemes.

    Args:
        pictures: where to keep a picture of each, by the beginning of their names.
    """
    page.evaluate(AXE)
    found: list[str] = []
    for place in everywhere(page):
        if pictures is not None:
            pictures.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=pictures.with_name(f"{pictures.name}-{place}.png"))
        found += [f"{place}: {told}" for told in findings(page)]
        if not page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"):
            found.append(f"{place}: wider than its screen")
    assert found == [], "\n".join(found)


def findings(page: Page) -> list[str]:
    """What axe-core finds wrong in a page as it is now; axe-core must have been put into it."""
    result: dict[str, Any] = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{rule['id']} {node['target']}: {node['failureSummary']}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def tab_through(page: Page) -> list[str]:
    """Press Tab once around; return the names of what had the focus, from the first on, each seen to have it."""
    page.evaluate("document.activeElement.blur()")
    stops: list[str] = []
    first = 0
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None:  # past the end
            first = len(stops)
            continue
        if stops and stop["name"] == stops[0]:
            return stops[first:] + stops[:first]
        assert stop["shown"], f"{stop['name']!r} has the focus, and it is not seen"
        stops.append(stop["name"])
    raise AssertionError(f"there is no end to what Tab leads to: {stops}")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until something of that name has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is not None and stop["name"] == name:
            return
    raise AssertionError(f"Tab does not lead to {name!r}")
