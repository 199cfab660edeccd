"""Examples in docstrings run, and every public function of these packages has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

PACKAGES = ("gpuclust.arrays", "gpuclust.metrics")
MODULES = [
    f"{package}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_print_what_they_show(name):
    report = []
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_public_functions_of_metrics_have_examples():
    metrics = importlib.import_module("gpuclust.metrics")
    functions = [
        one for one in map(metrics.__dict__.get, metrics.__all__) if inspect.isfunction(one)
    ]
    assert [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")] == []
