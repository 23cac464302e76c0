# `make quickstart` and `make test` do all the set-up; everything lives in .venv, and a second call finds it there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# One thread a test worker: two workers with two threads each only fight over two cores.
WORKERS ?= 2

.PHONY: help quickstart test slow lint format docs setup setup-dev clean

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: setup  ## set up, then train, evaluate, predict and draw on a small embedded data set
	$(BIN)/attn quickstart

test: setup-dev  ## set up, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

slow: setup-dev  ## the tests that take long or need the large data sets (ATTNKIT_DATA)
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: setup-dev  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev  ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-dev  ## write the pages that are read off the program, then run the documents' code and check their headings
	$(BIN)/python -m docs.generate
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs

setup: .venv/core.stamp  ## the environment with the library

setup-dev: .venv/dev.stamp  ## the environment with the tools of development too

clean:  ## remove the environment and what tools left behind
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; install it or say make PYTHON=/its/path." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11; say make PYTHON=/path/to/python3.11." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/core.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/core.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
