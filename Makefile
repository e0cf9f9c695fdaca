# Two commands from a bare machine with Python >= 3.11, pip and make:
#   make demo   an environment, then sub-encoders measured on this machine
#   make test   an environment with the developers' tools, then the tests (JOBS=1: one process)
VENV ?= .venv
PYTHON ?= python3
DEVICE ?= cpu-any
JOBS ?= 2
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint bench clean

demo: $(VENV)/.core
	$(BIN)/bench profile --device $(DEVICE) --space bigger-faster --samples 10 --plot latency.png

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q --numprocesses $(JOBS) --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -q --benchmark-enable --benchmark-only -s tests/benchmarks

$(VENV)/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[dev]"
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist latency.png
