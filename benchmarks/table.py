"""Writes the README's table of measured figures from the raw results: `python -m benchmarks.table`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- measured -->\n).*?(\n<!-- /measured -->)", re.DOTALL)


def table() -> str:
    """Return the table in Markdown."""
    rate, first, size, words, load = map(_results, ("frame_rate", "first_chunk", "full_size", "word_times", "load"))
    case = rate["figures"]["3 layers of 128, without the codec"]
    whole = rate["figures"]["3 layers of 128, with the codec"]
    waits = first["figures"]["ms to the first chunk"]
    ratio = next(value for name, value in first["figures"].items() if "over empty" in name)
    rtf = size["figures"]["RTF"]
    off = words["figures"]["ms off (starts and ends)"]["the checkpoint's own"]
    streams = load["figures"]["streams held in real time, of those tried"]
    rows = [
        (
            "frames a second, small model (3 layers, 12 codebooks)",
            f"{case['times as fast alone']} × transformers",
        ),
        ("the same, 8 conversations together", f"{case['times as fast at 8 rows']} × transformers"),
        (
            "both again, codec included",
            f"{whole['times as fast alone']} × and {whole['times as fast at 8 rows']} × transformers",
        ),
        (
            "wait for the first 80 ms, 1,500 positions of context against none",
            f"{waits['full']['p50']:.0f} ms against {waits['empty']['p50']:.0f} ms ({ratio} ×)",
        ),
        (
            "CSM-1B's size in bfloat16, RTF against transformers' `generate`",
            f"{rtf['this package']['p50']:.1f} against {rtf['transformers']['p50']:.1f}",
        ),
        (
            "its memory over weights and caches; a further conversation",
            f"{size['figures']['resident / (weights + caches)']} ×; {size['figures']['mib a conversation']:.0f} MiB",
        ),
        (
            "`csm-tiny` behind `csm serve`: streams at once in real time, first sound (p50) then",
            f"{streams}; {load['figures']['ms to the first sound, by streams'][str(streams)]['p50']:.0f} ms",
        ),
        (
            "times of its words against its synthesiser's: median, 90th percentile",
            f"{off['median']:.0f} ms; {off['p90']:.0f} ms",
        ),
    ]
    lines = ["| | |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in rows)]
    machine = rate["machine"]
    torch = machine["torch"].split("+")[0]
    about = f"Medians on {machine['cores']} cores of an {machine['cpu']}, torch {torch}, no GPU."
    return "\n".join([*lines, "", f"{about} Raw results: [benchmarks/results](benchmarks/results)."])


def main() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(PLACE.sub(lambda place: place[1] + table() + place[2], text), encoding="utf-8")


def _results(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
