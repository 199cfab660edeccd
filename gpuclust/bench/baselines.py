"""Find the baselines: other libraries and recipes to time gpuclust against."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ..errors import BackendError, unknown

BACKENDS = ("cpu", "gpu")  # implementations of gpuclust itself
PACKAGE = "gpuclust_baselines"
CHECKOUT = Path(__file__).parents[2] / "benchmarks" / "baselines"


def names() -> list[str]:
    """List the baselines, installed or not."""
    package = _package()
    folders = [] if package is None else package.__path__
    found = (path.stem for folder in folders for path in Path(folder).glob("*.py"))
    return sorted(name for name in found if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """Import the module of a baseline; it imports the library itself when it first runs.

    Raises
    ------
    InputError
        When there is no such baseline.
    BackendError
        When its packages are not installed; the message has the command that installs them.
    """
    if name not in names():
        raise unknown("implementation", name, [*BACKENDS, *names()])
    module = importlib.import_module(f"{PACKAGE}.{name}")
    for package, install in module.NEEDS.items():
        if importlib.util.find_spec(package) is None:
            raise BackendError(f"the baseline {name} needs {package}. Run pip install {install}.")
    return module


def on_gpu(name: str) -> bool:
    """Return whether an implementation, of gpuclust or a baseline, computes on a GPU."""
    return name == "gpu" if name in BACKENDS else getattr(load(name), "GPU", False)


def _package() -> ModuleType | None:
    """Import the package of baselines: the installed one, else the folder of this checkout."""
    if PACKAGE in sys.modules or importlib.util.find_spec(PACKAGE) is not None:
        return importlib.import_module(PACKAGE)
    spec = importlib.util.spec_from_file_location(
        PACKAGE, CHECKOUT / "__init__.py", submodule_search_locations=[str(CHECKOUT)]
    )
    if spec is None or spec.loader is None or not CHECKOUT.is_dir():
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[PACKAGE] = module
    return module
