"""Start-up: heavy imports are deferred, so help and errors appear at once."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "timm",
    "sklearn",
    "scipy",
    "pandas",
    "umap",
    "numba",
    "open_clip",
    "cupy",
    "cuml",
}


def loaded_by(statement):
    code = f"import sys; {statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def command(*words):
    """Return statements to run a command of gpuclust; they fail with it."""
    return (
        f"import gpuclust_cli; sys.argv[1:] = {list(words)}\n"
        "try: gpuclust_cli.main()\n"
        "except SystemExit as done: assert not done.code"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import gpuclust",
        "import gpuclust_cli",
        "import gpuclust.datasets, gpuclust.encoders, gpuclust.metrics, gpuclust.methods.spec",
        "import gpuclust.device.backend; gpuclust.device.backend.select('auto')",
    ],
)
def test_importing_loads_no_heavy_package(statement):
    assert loaded_by(statement) & HEAVY == set()


def test_a_grid_is_read_and_looked_up_without_torch(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'dataset = "digits"\nencoder = ["raw", "efficientnet_lite0"]\nclusterer = "kmeans"\n'
    )
    statement = command("grid-status", str(grid), "--root", str(tmp_path), "--device", "cpu")
    assert "torch" not in loaded_by(statement)


def test_the_package_and_the_command_do_not_even_need_numpy():
    assert "numpy" not in loaded_by("import gpuclust, gpuclust_cli")


def test_importing_the_package_loads_nothing_but_python_and_itself():
    assert third_party("import gpuclust") == {"gpuclust"}


def test_help_loads_nothing_but_the_command_line_library():
    ours = {"gpuclust", "gpuclust_cli"}
    typer = {"typer", "click", "shellingham", "annotated_doc", "typing_extensions"}
    rich = {"rich", "markdown_it", "mdurl", "pygments"}
    found = third_party(command("--help"))
    assert ours <= found <= ours | typer | rich


def third_party(statement):
    """Return the packages loaded by a statement, without the standard library."""
    return loaded_by(statement) - loaded_by("pass") - sys.stdlib_module_names
