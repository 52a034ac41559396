# Each target makes the virtual environment that it needs. PYTHON chooses the interpreter, 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help demo test lint format bench clean

help:  ## Say what each target does.
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

demo: .venv/made  ## Three running pods, a service, one why and one whynot; real containers where Docker answers.
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: .venv/dev  ## All tests; those of Docker and iptables where this machine can run them.
	$(BIN)/pytest

lint: .venv/dev  ## Style, types, import contracts and rule packs.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/kdl check --strict
	$(BIN)/kdl fmt --check policies examples

format: .venv/dev  ## Bring all Python files to the one style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/bench  ## The measurements, each with its peers beside it.
	$(BIN)/python -m tests.bench

clean:  ## Remove what the targets above have made.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kdl needs Python 3.11 or newer: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }
	$(PIP) install --upgrade 'pip>=25.1'

.venv/made: .venv/bin/python pyproject.toml
	$(PIP) install -e .
	@touch $@

.venv/dev: .venv/made
	$(PIP) install -e . --group dev
	@touch $@

.venv/bench: .venv/dev
	$(PIP) install -e . --group bench
	@touch $@
