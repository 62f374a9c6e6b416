# `make` alone lists what there is. Everything lives in .venv; nothing is installed for the user.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
# A second environment, with the lowest version of each package that pyproject.toml allows.
LOWEST := .venv-lowest
# More for pytest, as in: make test ARGS="-k ledger".
ARGS ?=
# The first Python that is new enough (and starts: pyenv leaves dead commands behind).
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

# $(call need,CHECK,PACKAGES,WHAT FOR): where CHECK fails, install Debian packages, or say how.
define need
@{ $(1); } >/dev/null 2>&1 || { \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "Installing $(2), for $(3)"; \
    apt-get update -qq; \
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(2) >/dev/null; \
  else \
    echo "For $(3), please run: sudo apt-get install $(2) (or your system's own way), then make again." >&2; \
    exit 1; \
  fi; }
endef

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: demo
demo: setup ## the full pipeline, on synthesized recordings and a local stand-in for Helios
	$(BIN)/helios-research demo

.PHONY: setup
setup: $(VENV)/installed-core ## put the package into .venv, ready to use

.PHONY: test
test: $(VENV)/installed-test browser ## all tests, notebooks and widgets in a browser included
	$(BIN)/python -m pytest --nbval --nbval-current-env --numprocesses=4 --dist=loadfile tests notebooks $(ARGS)

.PHONY: faults
faults: $(VENV)/installed-test ## write docs/faults.md from the tests of all faults, once they pass
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile tests/faults --fault-page=docs/faults.md $(ARGS)

.PHONY: docs
docs: $(VENV)/installed-test ## build the documentation into build/docs: open build/docs/index.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

.PHONY: check
check: format lint types docstrings imports dead-code spelling docs vulnerabilities bounds ## style, types, layers, documentation, bounds, known vulnerabilities

.PHONY: lowest
lowest: $(LOWEST)/installed ## all tests with the lowest allowed versions, but for notebooks and browsers
	$(LOWEST)/bin/python -m pytest --numprocesses=2 --dist=loadfile tests $(NOT_LOWEST) $(ARGS)

.PHONY: dataset
dataset: setup ## make everything in datasets anew
	$(call need,command -v espeak-ng,espeak-ng,synthesizing speech)
	$(BIN)/python datasets/make_demo_cohort.py
	$(BIN)/python datasets/make_shift_study.py

.PHONY: benchmark
benchmark: $(VENV)/installed-test ## one measurement, as in: make benchmark NAME=ledger
	@[ -f "benchmarks/$(NAME).py" ] || { echo "NAME is one of:" \
	  $(patsubst benchmarks/%.py,%,$(wildcard benchmarks/*.py)) >&2; exit 1; }
	$(BIN)/python "benchmarks/$(NAME).py" $(ARGS)

.PHONY: clean
clean: ## remove .venv, builds and caches; studies stay
	rm -rf $(VENV) $(LOWEST) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the parts of `make check` -------------------------------------------------------------------

# What stays out with the lowest versions: front ends are not among the packages that users import.
NOT_LOWEST := --ignore-glob='*browser*' --ignore=tests/study/test_notebook.py
# What depends on others' behaviour most. Each lower bound that was once too low failed here.
BOUNDS := tests/test_public_names.py tests/api tests/recording tests/results \
  tests/ledger/test_storage_lock.py tests/cohort/test_workbook.py tests/plots/test_canvas.py
# Vulnerabilities, by id, that do not matter here; each with its reason in a comment.
ACCEPTED :=

.PHONY: format lint types docstrings imports dead-code spelling vulnerabilities bounds
format: $(VENV)/installed-check
	$(BIN)/ruff format --check .
lint: $(VENV)/installed-check
	$(BIN)/ruff check .
types: $(VENV)/installed-check
	$(BIN)/mypy
docstrings: $(VENV)/installed-check
	find helios_research -name '*.py' -print0 | xargs -0 $(BIN)/numpydoc lint
imports: $(VENV)/installed-check
	$(BIN)/lint-imports
dead-code: $(VENV)/installed-check
	$(BIN)/vulture
spelling: $(VENV)/installed-check
	$(BIN)/codespell
vulnerabilities: $(VENV)/installed-check
	$(BIN)/python .ci/known_vulnerabilities.py --accept $(ACCEPTED)
bounds: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest --quiet --numprocesses=2 --dist=loadfile $(BOUNDS)

# --- what the commands need -----------------------------------------------------------------------

# Plain python3 on Debian comes without ensurepip, which a virtual environment gets its pip from.
$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and none was found; \
	name yours with: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(call need,$(PYTHON) -c 'import ensurepip',$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'),a virtual environment)
	$(PYTHON) -m venv $(VENV)

# $(call install,WHAT): with uv, or with pip where uv cannot be installed or finds no packages.
# The newest pip, since Debian 12's pip 23.0 had not found versions of boto3 and aiobotocore that
# agree after nine minutes; pip 26.3 took three for the whole installation.
define install
{ $(BIN)/python -m pip install --quiet --only-binary=uv uv && \
  $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '$(1)'; } || { \
  echo "Installing with pip, without uv: this takes some minutes."; \
  $(BIN)/python -m pip install --quiet --upgrade pip && \
  $(BIN)/python -m pip install --quiet --editable '$(1)'; }
endef

$(VENV)/installed-core: pyproject.toml | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/installed-test $(VENV)/installed-check: $(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(call install,.[$*])
	@touch $@ $(VENV)/installed-core

# With uv, since pip cannot choose the lowest versions.
$(LOWEST)/installed: pyproject.toml $(VENV)/installed-check
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[test]'
	@touch $@

# Playwright brings a Node.js that needs libatomic, which a bare Debian does not have.
.PHONY: browser
browser: $(VENV)/installed-test
	$(call need,command -v chromium && fc-list | grep -i dejavu && $(BIN)/python -m playwright --version,chromium fontconfig fonts-dejavu-core fonts-liberation libatomic1,testing widgets in a browser)
