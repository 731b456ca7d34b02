# Everything a fresh machine needs is Python 3.11 or newer, make, and a package registry that pip can reach.
VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP   := $(BIN)/python -m pip install -qq --disable-pip-version-check --progress-bar off --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install quickstart test torture docs clean

help:
	@echo "make install     make the environment in $(VENV); costs nothing when it is there"
	@echo "make quickstart  install, then run the main job, recipes/quickstart.yaml; again to resume"
	@echo "make test        install, then ruff and the test suite"
	@echo "make torture     install, then kill runs of every small recipe 200 times and compare; again to resume"
	@echo "make docs        install, then build the pages and the reference to build/docs/index.html"
	@echo "make clean       delete build products and caches; the environment and the runs stay"

install: $(STAMP)

quickstart: $(STAMP)
	@$(BIN)/mmevolve run recipes/quickstart.yaml

# Two workers of one thread each: what two cores do best, and within the memory of a laptop.
test: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

torture: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/python eval/torture/run.py

# A warning is an error. The notebooks are shown as they are stored; `python notebooks/refresh.py` runs them again.
docs: $(STAMP)
	@$(PIP) --editable '.[docs]'
	@$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees docs build/docs
	@$(BIN)/python -m nbconvert --log-level ERROR --to html --output-dir build/docs/notebooks notebooks/*.ipynb
	@echo "read build/docs/index.html"

clean:
	@rm -rf build dist docs/reference *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find mmevolve tests -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON=/path/to/python chooses the interpreter; otherwise the first that is new enough.
$(BIN)/python:
	@for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(VENV) with $$("$$python" --version)"; exec "$$python" -m venv $(VENV); \
		fi; \
	done; echo "no Python 3.11 or newer was found: install one, or name it with make PYTHON=..." >&2; exit 1

# torch goes first and pinned: an open range could draw the largest GPU build, and another torch for every later package.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing torch"
	@$(PIP) torch
	@echo "installing the other packages"
	@$(PIP) --editable '.[dev,report]'
	@touch $@
