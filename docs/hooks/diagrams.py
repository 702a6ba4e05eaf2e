"""Draws Mermaid's diagrams with a library that lies in the site; the theme by itself would load it from elsewhere.

`make docs` puts the library at `LIBRARY` where npm is there. Without it a diagram is shown as its source.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from pymdownx.superfences import fence_code_format

LIBRARY = Path(__file__).parents[2] / "build" / "mermaid" / "package" / "dist" / "mermaid.min.js"
PLACE = "javascripts/mermaid.min.js"
_FENCE = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have diagrams drawn if the library is there."""
    if LIBRARY.is_file():
        config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [_FENCE]}
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the library."""
    if LIBRARY.is_file():
        files.append(File.generated(config, PLACE, abs_src_path=str(LIBRARY), inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Load the library, of megabytes, on pages that have a diagram."""
    if 'class="mermaid"' not in output:
        return output
    script = f'<script src="{get_relative_url(PLACE, page.url)}"></script>'
    return output.replace("</head>", f"{script}</head>", 1)
