# `make run` and `make test` need Python 3.11 or newer with venv, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Arguments for pytest: make test ARGS="-k follow"
ARGS ?=
# Three tests at a time (they wait more than they work), those of a file in one process, the longest first;
# make test WORKERS= runs them one after another
WORKERS ?= -n 3 --dist loadscope --no-loadscope-reorder
# Arguments for the lock: make lock UPGRADE=--upgrade moves every pin, not only those that have to
UPGRADE ?=
LOCK := $(VENV)/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help install run test check bench lock

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-6s %s\n", $$1, $$2}' Makefile

install: $(VENV)/installed ## install what is locked into .venv

run: $(VENV)/installed ## install what is locked, then run the demo; Ctrl-C stops it
	@exec $(BIN)/utskick demo

test: $(VENV)/tested ## all tests; what needs a server that is not here is skipped, and says so
	@$(BIN)/python -m compileall -q service workers  # the tests start many processes
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

check: $(VENV)/tested ## style, types, layers, and models against migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.schema

bench: $(VENV)/installed ## mails a second, CPU and memory, beside senders without books: make bench ARGS=--quick
	@exec $(BIN)/utskick bench $(ARGS)

lock: $(VENV)/lock ## make the lock files again from pyproject.toml
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --group pyproject.toml:build -c requirements.lock -o requirements-build.lock
	$(LOCK) --group pyproject.toml:dev -c requirements.lock -c requirements-build.lock -o requirements-dev.lock

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Utskick needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python requirements.lock requirements-build.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/lock: $(BIN)/python
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --disable-pip-version-check --quiet install uv
