# make demo            sets up .venv and runs the main job on real images
# make test            sets up .venv and passes the tests
# make test-contract   sets up .venv-contract with RAPIDS and tests what we call of it; needs no GPU
# make test-gpu        on a GPU machine: the GPU tests, then figures into benchmarks/results/
# make docker          builds the CPU image and tries it; with or without a Docker engine
# All of them need Python >= 3.11 and a package registry; everything else comes with them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where nvidia-smi answers, the GPU extra is installed. There is no lock for CUDA 12: the torch that
# registries serve is built for CUDA 13, and torch's CUDA 12 build comes from PyTorch's own index.
CUDA := $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p' | head -n 1)
# Newer drivers run what was built for CUDA 13.
ENGINE := $(if $(CUDA),gpu-cu$(shell [ $(CUDA) -ge 13 ] && echo 13 || echo 12),cpu)
LOCK := requirements/$(ENGINE).txt
INSTALLED := $(VENV)/.installed-$(ENGINE)
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

# RAPIDS installs and imports without a GPU, but not beside the CPU build's pins.
CONTRACT := .venv-contract

# Real embeddings for the figures of test-gpu, an .npz file with X and y; the default is small and is
# repeated with noise: give DATA=FILE.npz for figures that count.
DATA ?= tests/data/fashionmnist-300.npz

.PHONY: demo test test-contract test-gpu docker lint lock clean

demo: $(INSTALLED)
	$(BIN)/gpuclust quickstart

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-contract: $(CONTRACT)/.installed
	PYTHONPATH=. $(CONTRACT)/bin/python -m pytest tests/contract \
	  tests/device

# The parts have time limits: under eight minutes in all.
test-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu.py --data $(DATA) --out benchmarks/results

docker:
	docker/verify

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Locks carry versions and hashes, no address of a registry.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
lock: $(UV)
	$(COMPILE) --extra weights --extra pacmap --extra plots --extra dask --extra dev -o requirements/cpu.txt
	$(COMPILE) --extra weights --extra pacmap --extra dask --extra dev --extra gpu-cu13 -o requirements/gpu-cu13.txt
	$(COMPILE) -c requirements/cpu.txt --extra weights --extra pacmap --extra dask -o requirements/docker-cpu.txt
	$(COMPILE) -c requirements/gpu-cu13.txt --extra weights --extra pacmap --extra dask --extra gpu-cu13 -o requirements/docker-gpu-cu13.txt

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gpuclust needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.lint: $(UV) requirements/cpu.txt
	grep -A 60 '^ruff==' requirements/cpu.txt | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > $(VENV)/ruff.txt
	$(INSTALL) --require-hashes -r $(VENV)/ruff.txt
	touch $@

requirements/gpu-cu12.txt:
	@echo "This driver is for CUDA $(CUDA). Install torch's CUDA 12 build and gpuclust[gpu-cu12] by hand" \
	  "(see README), or set CUDA= for the CPU engine." && false

# Compiled at once: timm, torch and umap-learn otherwise spend the first half minute on it.
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
