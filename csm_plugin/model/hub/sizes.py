"""Sizes for people."""

from __future__ import annotations


def readable(count: float) -> str:
    """Write a number of bytes in decimal units: "7.1 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} GB"
