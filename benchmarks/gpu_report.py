"""Findings of one part of `gpu.py`.

python3 benchmarks/gpu.py --dry --out DIR --parts doctor
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpuclust.bench import results

LARGE = (50_000, 768)  # samples and dimensions


class Report:
    """Findings of a part, on the disk after every change."""

    def __init__(self, path: Path):
        self._path = path
        self.content: dict[str, Any] = {"running": None, "summary": []}

    def put(self, *keys: str, value: Any) -> None:
        """Set a value at a place in the JSON."""
        place = self.content
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        results.write(self._path, self.content)

    def running(self, what: str | None) -> None:
        """Record the next action, in case the part is killed."""
        self.put("running", value=what)

    def line(self, text: str) -> None:
        """Add a line to the summary."""
        self.put("summary", value=[*self.content["summary"], text])
