"""Registry of image datasets: one entry each, its reader named as text."""

from __future__ import annotations

from .catalogue.bioscan import BIOSCAN
from .catalogue.general import GENERAL
from .catalogue.layouts import LAYOUTS
from .catalogue.libraries import LIBRARIES
from .entry import DatasetEntry

DATASETS: dict[str, DatasetEntry] = {**GENERAL, **LIBRARIES, **LAYOUTS, **BIOSCAN}
