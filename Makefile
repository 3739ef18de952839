# InterWeave on Airflow. `make help` lists the targets.
# Everything lives in this folder: .venv (the installation) and .run (databases, logs, the demo's Airflow).

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
UV     := uv==0.13.8
STAMP  := $(VENV)/.installed
ODBC   := $(VENV)/.odbc
CHROME := $(VENV)/.chromium
export PYTHONPATH := .:include
# Some libraries create this folder at import when the system has not.
export XDG_RUNTIME_DIR ?= $(CURDIR)/.run/xdg
# Airflow is a dozen processes; without compiled files each of them compiles all of Airflow again at every start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test test-units test-e2e test-all chaos sandbox docs pictures lint bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(ODBC) ## make the virtual environment, install what requirements.txt pins, and the ODBC drivers

$(STAMP): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH. Install Python 3.11 (Debian 12: it is there; elsewhere: your package manager or pyenv), or say make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p .run $(XDG_RUNTIME_DIR) && chmod 700 $(XDG_RUNTIME_DIR)
	@echo "Installing (about a minute the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# The ODBC drivers are Debian packages: installed as root on Debian, else words that say how.
$(ODBC): $(STAMP) include/local/odbc.py include/local/debian.py
	@$(BIN)/python -m local.odbc && touch $(ODBC) || echo "Going on without them."

# So is the browser, which only the end-to-end tests need.
$(CHROME): $(STAMP) include/local/chromium.py include/local/debian.py
	@$(BIN)/python -m local.chromium && touch $(CHROME) || echo "Going on without it."

demo: $(ODBC) ## sandboxes, Airflow and the flows of a company; Ctrl-C ends it (COMPANY=globex, ONCE=1: end after the summary)
	@$(BIN)/python -m demo $(if $(ONCE),--once) $(if $(COMPANY),--company $(COMPANY))

test: test-units test-e2e ## the whole test suite

test-units: $(ODBC) ## everything that needs no Airflow of its own
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not e2e and not figures and not chaos" $(ARGS)

test-e2e: $(ODBC) $(CHROME) ## the flows on a real Airflow, the figures that are promised, a sample of chaos
	@$(BIN)/python -m pytest -n 2 --dist loadscope -p tests.side_by_side -m "(e2e or figures or chaos) and not long" $(ARGS)

test-all: test ## as test, and the long runs
	@IW_AWAY_SECONDS=900 $(BIN)/python -m pytest -m long $(ARGS)
	@$(MAKE) --no-print-directory chaos KILLS=200
	@$(MAKE) --no-print-directory chaos COMPANY=globex KILLS=100
	@$(MAKE) --no-print-directory bench

chaos: $(ODBC) ## kill workers between faulty sandboxes, then compare both sides (COMPANY=globex, KILLS=20, SEED=, PLAIN=1: a plain writer)
	@$(BIN)/python -m chaos $(if $(COMPANY),--company $(COMPANY)) --kills $(or $(KILLS),20) $(if $(SEED),--seed $(SEED)) $(if $(PLAIN),--plain)

sandbox: $(ODBC) ## the sandboxes alone, on loopback
	@$(BIN)/python -m sandbox

docs: $(STAMP) ## write the documents that are made from data (docs/errors.md)
	@$(BIN)/python -m iw_operators.errors.docs

pictures: $(ODBC) $(CHROME) ## write docs/images/manager-*.png from the page in a real Airflow
	@IW_PICTURES=docs/images $(BIN)/python -m pytest -q tests/e2e/test_e2e_browser.py

lint: $(STAMP) ## ruff, mypy --strict, the laws, the dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy iw_operators include dags plugins tests
	@$(BIN)/python -m pytest -q tests/laws
	@$(BIN)/python -m local.audit

bench: $(ODBC) ## the figures, written to .run/bench.json
	@IW_BENCH=.run/bench.json $(BIN)/python -m pytest -q -m figures tests/figures
	@echo "written to .run/bench.json"

clean: ## remove .run (the demo's data) and caches
	rm -rf .run .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
