"""Run a stage of a unit, and record its error instead of raising it.

Errors are caught broadly here, because each of them becomes a row.
"""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..cell import Unit
from ..device import block_size, machine, memory, transfers
from ..device.backend import Backend
from ..errors import StorageError
from ..events import Stopped, Watcher
from ..pipeline import measured
from ..row import Outcome
from ..store.claims import Say


@dataclass(frozen=True)
class Attempt:
    """Runs the stages of one unit; errors become outcomes.

    A full disk and a request to stop are raised, because they are no fault of the cell.  A stage
    that runs out of memory gets a second try with blocks of half the size.

    Attributes
    ----------
    unit : Unit
        The unit.
    on : Backend
        Backend that computes.
    watcher : Watcher
        Receives the name of every stage.
    say : callable (dict) -> None
        Publishes the stage in the claim of the unit.
    run : str
        Name of the run, for the claim.
    trace : bool
        Measure the copies between host and device.
    """

    unit: Unit
    on: Backend
    watcher: Watcher
    say: Say
    run: str
    trace: bool = False

    def __call__(self, what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
        """Run ``stage(*args)`` and return its outcome."""
        self._report(what)
        start = time.perf_counter()
        trace = transfers.trace if self.trace else None
        try:
            return measured(what, stage, *args, on=self.on, trace=trace)
        except (StorageError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - recorded in the row, with its traceback
            _forget_arrays(error)
            if not memory.is_out_of_memory(error):
                return Outcome(None, time.perf_counter() - start, (), error)
            first = f"{type(error).__name__}: {error}"
        # Outside the except block, where nothing holds the error any more.
        return self._again(what, stage, *args, first=first)

    def _again(self, what: str, stage: Callable[..., Any], *args: Any, first: str) -> Outcome:
        """Repeat a stage after it ran out of memory, with blocks of half the size."""
        memory.release()
        start = time.perf_counter()
        trace = transfers.trace if self.trace else None
        try:
            with block_size.smaller_blocks(0.5):
                outcome = measured(what, stage, *args, on=self.on, trace=trace)
        except (StorageError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - recorded in the row, with its traceback
            _forget_arrays(error)
            outcome = Outcome(None, time.perf_counter() - start, (), error)
        warning = f"ran out of memory ({first}) and was run again with blocks of half the size"
        return outcome._replace(warnings=(*outcome.warnings, warning))

    def _report(self, what: str) -> None:
        self.say(
            {
                "unit": str(self.unit),
                "cells": len(self.unit.cells),
                "host": platform.node(),
                "run": self.run,
                "pid": os.getpid(),
                "stage": what,
                "since": machine.now(),
            }
        )
        self.watcher.stage(self.unit, what)


def _forget_arrays(error: BaseException | None) -> None:
    """Free the arrays in the finished frames of an error; its traceback stays readable."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
