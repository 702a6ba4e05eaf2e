"""Runs the benchmarks: `python -m benchmarks [name...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HELPERS = {"__init__", "__main__", "reference", "report", "road", "samples", "structure", "table"}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in HELPERS)


def main(names: list[str]) -> int:
    """Run each in a process of its own, so that none warms another's caches; return 1 if one failed."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    codes = [subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode for name in names or NAMES]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
