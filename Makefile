# Needs Python 3.11 or newer, make and git; everything else goes into $(VENV).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGES := compiler ir frontends passes backends
CODE := $(PACKAGES) tests tools setup.py $(wildcard examples benchmarks)
# The recipe that `make demo` builds.
DEMO ?= examples/digits.rvp
# Test processes. Each keeps to one thread: small arrays only lose by sharing the cores.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.PHONY: help venv demo test test-slow test-accuracy lint types bench clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

venv: $(INSTALLED) ## an environment with Ranvier and the tested version of all that it needs

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$$python -m venv $(VENV)"; \
	    $$python -m venv $(VENV) && exit || { rm -rf $(VENV); exit 1; }; \
	  fi; \
	done; \
	echo "no Python 3.11 or newer found; name one: make venv PYTHON=/path/to/python3" >&2; exit 1

$(INSTALLED): pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test,lint]'
	@touch $@

demo: venv ## turn a small network into spiking ones, run and compare them; writes report.html
	$(BIN)/python -m ranvier build $(DEMO)

test: venv ## the tests, without those marked slow
	$(PYTEST) -m "not slow and not accuracy"

test-slow: venv ## the tests marked slow
	$(PYTEST) -m slow

test-accuracy: venv ## long accuracy runs that do not fit in continuous integration
	$(PYTEST) -m accuracy

lint: venv ## style, import order, docstrings, bare imports
	$(BIN)/ruff check $(CODE)

types: venv ## mypy in strict mode
	$(BIN)/python tools/link.py
	$(BIN)/mypy

bench: venv ## the benchmarks; figures depend on the machine
	$(BIN)/python -m benchmarks

clean: ## remove what was generated, the environment too
	rm -rf $(VENV) .dev build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis report.html
	find $(PACKAGES) tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
