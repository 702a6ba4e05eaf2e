"""Keeps what the checks found: in a file that is complete after each of them."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import commit, machine


@dataclass
class Record:
    """The results of one run.

    Args:
        path: of the JSON file.
        device: what was tested.
    """

    path: Path
    device: str
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _about: dict[str, Any] = field(default_factory=lambda: {"commit": commit(), "machine": machine()})

    @classmethod
    def within(cls, folder: Path, device: str, name: str) -> Record:
        """Name the file after the device and the time."""
        folder.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return cls(folder / f"{slug}-{time.strftime('%Y-%m-%d-%H%M')}.json", device)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def add(self, name: str, status: str, took_s: float, **found: Any) -> None:
        """Keep a check's outcome, print it, and write the file anew."""
        self.checks[name] = {"status": status, "took_s": round(took_s, 2), **found}
        print(f"{self.seconds:6.1f} s  {name}: {status}", flush=True)
        for key, value in found.items():
            print(f"          {key}: {json.dumps(value, default=str)}", flush=True)
        told = {"device": self.device, **self._about, "took_s": round(self.seconds, 1), "checks": self.checks}
        half = self.path.with_suffix(".half")
        half.write_text(json.dumps(told, indent=1, default=str) + "\n", encoding="utf-8")
        half.replace(self.path)
