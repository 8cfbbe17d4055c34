# Every target makes the virtual environment that it needs, and is quick when nothing changed.
# Set PYTHON to build on another interpreter, WORKERS to run the tests on more processes, and CURVES to
# "--data FOLDER" to measure on learning curves that are not in the repository.

PYTHON ?= python3
WORKERS ?= 2
BENCH ?= --quick
CURVES ?= --recorded

VENV := .venv
BIN := $(VENV)/bin
PROJECT := pyproject.toml constraints.txt
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: help demo test test-slow test-lowest lint format bench clean

help:  ## show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo  ## a real sweep over handwritten digits, under two minutes
	$(BIN)/lightning-tune demo

test: $(VENV)/.test  ## the test suite with coverage, a few minutes
	$(PYTEST) -m "not slow" --cov=lightning_tune --cov-report=term --cov-fail-under=90

test-slow: $(VENV)/.test  ## the tests that take over half a minute each
	$(PYTEST) -m slow

test-lowest: .venv-lowest/.ready  ## the test suite on the lowest versions that pyproject.toml promises
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv-bench/.ready  ## the benchmarks, short versions; `make bench BENCH=` for the full ones
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/overhead.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/store.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/halving.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/search_quality.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/search_latency.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/curves.py $(CURVES)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/stopping.py $(CURVES)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/norm_speed.py $(BENCH)
	OMP_NUM_THREADS=1 .venv-bench/bin/python benchmarks/norm_resources.py $(BENCH)

clean:  ## remove the virtual environments and the caches
	rm -rf .venv .venv-bench .venv-lowest .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

# -- environments: a stamp in each, newer than what it was installed from -----------------------------------------

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'lightning-tune needs Python 3.11 or newer: make PYTHON=...')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(PROJECT) | $(VENV)/bin/python
	$(BIN)/python $(INSTALL) -e '.[rich,examples]'
	@touch $@

$(VENV)/.test: $(PROJECT) | $(VENV)/bin/python
	$(BIN)/python $(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.dev: $(PROJECT) | $(VENV)/bin/python
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.test

.venv-bench/.ready: $(PROJECT) benchmarks/requirements.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(INSTALL) -r benchmarks/requirements.txt
	.venv-bench/bin/python $(INSTALL) --no-deps lcpfn==0.1.3  # it pins an old torch
	@touch $@

.venv-lowest/.ready: pyproject.toml scripts/lowest.py
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) scripts/lowest.py pyproject.toml > .venv-lowest/pins.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-lowest/pins.txt -e '.[test]'
	@touch $@
