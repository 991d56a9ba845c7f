# make demo   a TMS with its page and a street of SmartMeters, on a fresh machine
# make test   everything that must hold: formatter, linter, types, import contracts, tests
# make test-night   the long campaigns
# make docs   the site in build/docs, warnings as errors
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Containers often tell Python to keep no compiled files; the tests start hundreds of processes,
# and each of them would compile the whole program again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-night venv lint docs clean

# Either stamp makes the folder; the demo installs no more than the demo needs.  A folder without pip
# was left by a first run that was cut off, or on a Debian without python3-venv: it is made whole.
$(VENV)/.demo: setup.cfg pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[network,tms,gateway]"
	touch $@

$(VENV)/.test: setup.cfg pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@ $(VENV)/.demo

venv: $(VENV)/.test

demo: $(VENV)/.demo
	$(BIN)/smartmeter demo

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Four at a time: on two processors two wait for processes and two compute.
test: lint
	$(BIN)/python -m pytest -n 4 --dist worksteal

# The long campaigns, and properties on examples of their own; docs/test_night.rst keeps what the
# last run came to.
test-night: $(VENV)/.test
	$(BIN)/python -m pytest -m night -rA
	EXAMPLES=fresh $(BIN)/python -m pytest -n auto tests/ansi_tables tests/protocols

docs: $(VENV)/.test
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
