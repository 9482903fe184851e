# make run: train, evaluate, write, score.   make study: where gradients go.
# make tutorial: six chapters that run, and their page.
# make check: lint, types, quick tests of lm/. make test: lint, types, all tests.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
# A file stays in one process, for its fixtures; tests/conftest.py puts them in order.
TESTS = $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Test files that import lm, and neither experiments nor data_pipeline.
LM = $(shell grep -lE '^from lm' tests/test_*.py | xargs grep -LE '(from|import) (experiments|data_pipeline)')
# One case of each test, one cell of each kind; make check QUICK= runs them all.
QUICK = --quick

.PHONY: help setup run study tutorial check test tests tests-of-lm lint types clean

help:
	@echo "make run       a trained language model in three minutes (after installation)"
	@echo "make study     how far back eight cells' gradients reach"
	@echo "make tutorial  six chapters from a neuron to LSTMs, run, and their page"
	@echo "make check     lint, types and quick tests of lm/, for the inner loop"
	@echo "make test      lint, types and all tests"
	@echo "make setup     only the environment, in $(VENV)"
	@echo "make clean     remove environments and caches; runs/ stays"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.txt into $(VENV) (some 700 MB, a few minutes) ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.tested: $(VENV)/.ready tests/requirements.txt
	@$(PIP) -r tests/requirements.txt
	@touch $@

run: setup
	@$(VENV)/bin/python -m experiments.tour

study: setup
	@$(VENV)/bin/python -m experiments.gradients cells --small --processes 2

tutorial: setup
	@$(VENV)/bin/python -m experiments.tutorial

lint: $(VENV)/.tested
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.tested
	$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python

# Types take one core for half a minute: side by side with the tests.
check: lint
	@$(MAKE) --no-print-directory -j2 types tests-of-lm

test: lint
	@$(MAKE) --no-print-directory -j2 types tests

tests-of-lm: $(VENV)/.tested
	$(TESTS) $(QUICK) $(LM)

tests: $(VENV)/.tested
	$(TESTS)

clean:
	rm -rf .venv* .pytest_cache .ruff_cache .hypothesis
