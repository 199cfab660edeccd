# make demo            sets up .venv and runs the main job on real images
# make test            sets up .venv and runs every test except the long ones
# make test-long       the long tests: processes killed during a run, commands from start to end
# make lint            sets up .venv; ruff check, ruff format --check, mypy
# make test-contract   sets up .venv-contract with RAPIDS and tests every call into it; needs no GPU
# make test-gpu        on a GPU machine: the GPU tests, then figures into benchmarks/results/
# make docker          builds the CPU image and tries it; with or without a Docker engine
# Every target needs Python >= 3.11 and a package registry, and installs the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The GPU extra is installed if nvidia-smi answers. CUDA 12 has no lock file: package registries
# serve torch built for CUDA 13, and the CUDA 12 build comes from PyTorch's own index.
CUDA := $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p' | head -n 1)
# Drivers newer than CUDA 13 run packages built for CUDA 13.
BACKEND := $(if $(CUDA),gpu-cu$(shell [ $(CUDA) -ge 13 ] && echo 13 || echo 12),cpu)
LOCK := requirements/$(BACKEND).txt
INSTALLED := $(VENV)/.installed-$(BACKEND)
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

# RAPIDS installs and imports without a GPU, but conflicts with the pins of the CPU lock.
CONTRACT := .venv-contract

# Embeddings for the figures of test-gpu: an .npz file with X and y. The default is small and is
# repeated with noise; give DATA=FILE.npz for figures to publish.
DATA ?= tests/data/fashionmnist-300.npz

# Processes that share the tests, a file at a time. WORKERS=0 runs them in one process, as a debugger
# needs it.
WORKERS ?= 2

.PHONY: demo test test-long test-contract test-gpu docker lint lock clean

demo: $(INSTALLED)
	$(BIN)/gpuclust quickstart

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: $(INSTALLED)
	@echo "Long tests (marker 'long'): workers, clients and the scheduler killed during a grid; a cell" \
	  "that kills its workers; every command of the README; the benchmarks of a unit, of growth and" \
	  "of load, on small data; the Slurm script."
	$(BIN)/python -m pytest -m long

test-contract: $(CONTRACT)/.installed
	PYTHONPATH=. $(CONTRACT)/bin/python -m pytest tests/contract tests/device

# Every part has a time limit; the sum is under eight minutes.
test-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu.py --data $(DATA) --out benchmarks/results

docker:
	docker/verify

# mypy reads the types of installed packages, so lint needs the whole environment.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Lock files hold versions and hashes, and no registry address. Pins in an existing file are kept.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
lock: $(UV)
	$(COMPILE) --extra weights --extra heic --extra pacmap --extra plots --extra dask --extra dev -o requirements/cpu.txt
	$(COMPILE) --extra weights --extra heic --extra pacmap --extra dask --extra dev --extra gpu-cu13 -o requirements/gpu-cu13.txt
	$(COMPILE) -c requirements/cpu.txt --extra weights --extra heic --extra pacmap --extra dask -o requirements/docker-cpu.txt
	$(COMPILE) -c requirements/gpu-cu13.txt --extra weights --extra heic --extra pacmap --extra dask --extra gpu-cu13 -o requirements/docker-gpu-cu13.txt

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gpuclust needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

requirements/gpu-cu12.txt:
	@echo "The installed driver supports CUDA $(CUDA). Install torch's CUDA 12 build and" \
	  "gpuclust[gpu-cu12] by hand (see README), or set CUDA= for the CPU backend." && false

# --compile-bytecode: timm, torch and umap-learn otherwise compile for 30 s at their first import.
$(INSTALLED): $(UV) pyproject.toml $(LOCK)
	$(INSTALL) --compile-bytecode --require-hashes -r $(LOCK)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(CONTRACT)/.installed: $(UV) requirements/gpu-cu13.txt
	$(PYTHON) -m venv $(CONTRACT)
	$(UV) pip install --quiet --python $(CONTRACT)/bin/python --require-hashes \
	  -r requirements/gpu-cu13.txt
	touch $@

clean:
	rm -rf $(VENV) $(CONTRACT) build *.egg-info
