"""Examples in docstrings print their shown output, and the public functions have one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import gpuclust

MODULES = [
    module.name
    for module in pkgutil.walk_packages(gpuclust.__path__, "gpuclust.")
    if not module.ispkg
]
PUBLIC = ("gpuclust", "gpuclust.algorithms", "gpuclust.metrics")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_print_what_they_show(name, tmp_path):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    finder = doctest.DocTestFinder(exclude_empty=True)
    for test in finder.find(importlib.import_module(name), extraglobs={"tmp_path": tmp_path}):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_and_estimators_have_examples(name):
    package = importlib.import_module(name)
    public = [getattr(package, one) for one in package.__all__ if not one.startswith("_")]
    documented = [one for one in public if inspect.isfunction(one) or hasattr(one, "fit")]
    assert documented
    assert [one.__name__ for one in documented if ">>>" not in (one.__doc__ or "")] == []
