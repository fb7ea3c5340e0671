# Needs Python 3.10 or later with venv, and nothing else; everything is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.PHONY: help demo mariadb chromium test test-slow matrix test-compatibility compatibility check format readme bench clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(VENV)/demo  ## Play the reference incident on a private PostgreSQL
	@$(BIN)/alembic-rescue demo

mariadb:  ## Install Debian's MariaDB server, where it is missing: the tests start it on a private socket
	@PATH=$$PATH:/usr/sbin command -v mariadbd >/dev/null || { root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$root apt-get update && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y mariadb-server; }

chromium:  ## Install Debian's Chromium, where it is missing: the tests open HTML reports in it
	@command -v chromium >/dev/null || { root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$root apt-get update && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; }

test: $(VENV)/dev  ## Run the tests, against private servers: PostgreSQL, and MariaDB where it is installed
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow and not compatibility' $(ARGS)

test-slow: $(VENV)/dev  ## Run the tests that take long: through the command line, random schemas, locks, Ctrl-C
	$(BIN)/python -m pytest -n $(WORKERS) -m 'slow and not compatibility' $(ARGS)

test-compatibility: $(VENV)/dev  ## Run the tests behind docs/compatibility.md: styles of env.py, drivers, databases, Flask, PostgreSQL 16
	$(BIN)/python -m pytest -n $(WORKERS) -m compatibility $(ARGS)

matrix:  ## Install the wheel in several environments, from the lowest versions to the newest, and run the tests in each
	$(PYTHON) -m tests.matrix --cells $(CELLS) -n $(WORKERS) $(ARGS)

compatibility: $(VENV)/dev  ## Write what these tests measure into docs/compatibility.md
	$(BIN)/python -m tests.compatibility -n $(WORKERS) $(ARGS)

check: $(VENV)/dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(VENV)/dev  ## Write what the demo prints into README.md
	$(BIN)/python -m tests.transcript

bench: $(VENV)/dev  ## Time alembic-rescue beside alembic
	$(BIN)/python benchmarks/beside_alembic.py

clean:  ## Remove what the targets above made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp file for each extra: installing one again is skipped until pyproject.toml changes.
$(VENV)/%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@
