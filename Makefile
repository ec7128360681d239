# `make` prints this help.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.DEFAULT_GOAL := help

help:		## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { sub(/[ \t]+$$/, "", $$1); printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Everything is installed into .venv, editable; the stamp says from which set-up.
$(VENV)/stamp: setup.cfg setup.py $(wildcard kemu/native/*.[ch])
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e '.[test]' 2>$(VENV)/pip.log \
		|| { cat $(VENV)/pip.log; exit 1; }
	@touch $@

build: $(VENV)/stamp	## the extension and a virtual environment, in .venv

demo: build	## a kernel thread wakes up on the wrong CPU; then the fixed kernel survives
	$(BIN)/kemu demo

test: build	## the test suite (ARGS= goes to pytest)
	$(BIN)/python -m pytest $(ARGS)

races: build	## every race of the register, both sides, forced
	$(BIN)/kemu race --all --how forced --trials 100

campaign: build	## every race with jitter, 20 s a side
	$(BIN)/kemu race --all --how jitter --seconds 20

hotplug: build	## 100,000 hotplug cycles of 4 CPUs under load, audited (an hour, or more)
	$(BIN)/kemu hotplug --cpus 4 --cycles 100000

soak: build	## the test suite twenty times
	for i in $$(seq 20); do $(BIN)/python -m pytest -q $(ARGS) || exit 1; done

bench: build	## latencies beside C and multiprocessing, interleaved (ARGS=--json FILE)
	$(BIN)/python -m bench $(ARGS)

lint: build	## ruff, and mypy --strict on kemu/
	$(BIN)/ruff check kemu tests bench setup.py
	$(BIN)/mypy kemu

sanitize:	## the hardware alone, under the address, undefined and thread sanitizers
	$(MAKE) -C tests/native check

check: lint sanitize test	## what must pass before a change lands, but for the soak

clean:		## remove what was built
	rm -rf $(VENV) build kemu/native/*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	$(MAKE) -C tests/native clean

.PHONY: help build demo test races campaign hotplug soak bench lint sanitize check clean
