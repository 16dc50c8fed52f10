# Every target sets up what it needs; all it asks of the machine is Python 3.11 or later and the package index.

RUN := .venv/bin
UV := uv==0.13.8
# Tried in this order unless `make PYTHON=…` names one.
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-real test-real-faults both-worlds soak explore budget mutants check format bench bench-real lock clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup: .venv/ready  ## install AVE and its tools into .venv (the other targets do it too)
	@echo "AVE is installed in .venv. Next: make demo, or make test"

demo: .venv/ready  ## the dashboard on a simulated cluster; ! kills a host, and its VMs come back
	@$(RUN)/ave demo

test: .venv/ready  ## all tests but the long ones; make test ARGS="-k lease" picks
	@echo "Left out: tests/soak (make soak), and tests/real, a cluster of real hosts (make test-real, as root on Debian)"
	@$(RUN)/python -m pytest -n 2 --ignore=tests/bench --ignore=tests/soak --ignore=tests/real $(ARGS) tests

test-real: .venv/ready  ## libvirt, QEMU and iSCSI on a real cluster in this machine; root on Debian
	@$(RUN)/python -m tests.real.install
	@$(MAKE) --no-print-directory --silent .venv/real
	@$(RUN)/python -m pytest -n 2 --dist loadfile $(ARGS) tests/real

test-real-faults: .venv/ready  ## real faults on that cluster while its guests write: docs/real-faults.md; half an hour
	@$(RUN)/python -m tests.real.install
	@$(MAKE) --no-print-directory --silent .venv/real
	@$(RUN)/python -m tests.real.faults --page docs/real-faults.md $(ARGS)

both-worlds: .venv/ready  ## scenario files on that cluster and in the simulator, compared: docs/both-worlds.md; a quarter of an hour
	@$(RUN)/python -m tests.real.install
	@$(MAKE) --no-print-directory --silent .venv/real
	@$(RUN)/ave real compare scenarios/both/*.yaml --page docs/both-worlds.md $(ARGS)

soak: .venv/ready  ## the long ones: crash points, killed workers, failing stores; under 30 min
	@$(RUN)/python -m pytest -n 2 $(ARGS) tests/soak

explore: .venv/ready  ## 1000 drawn scenarios of 2 hours each: docs/campaign.md; goes on where it stood; make explore ARGS="--seed 5000"
	@$(RUN)/ave sim explore --seeds 1000 --out runs/explore --resume --page docs/campaign.md $(ARGS)

budget: .venv/ready  ## what high availability costs, by profile: docs/ha-budget.md; some 10 min on two cores
	@$(RUN)/ave sim budget --profile all --seeds 40 --page docs/ha-budget.md $(ARGS)

mutants: .venv/ready  ## bugs put in on purpose: who catches them; writes docs/mutants.md; hours, goes on where it stood
	@$(RUN)/python -m tests.mutants --resume runs/mutants.jsonl $(ARGS)

check: .venv/ready  ## format, lint, types and architecture, in under 30 s
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python -m pytest -q tests/test_tidy.py

format: .venv/ready  ## let ruff mend what it can
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

bench: .venv/ready  ## measure the runtime, the stores, the Job Center and placement
	@$(RUN)/python -m tests.bench

bench-real: .venv/ready  ## what AVE adds to libvirt alone, and how long a fence takes, on the bed of make test-real
	@$(RUN)/python -m tests.real.install
	@$(MAKE) --no-print-directory --silent .venv/real
	@$(RUN)/python -m tests.real.bench $(ARGS)

lock: $(RUN)/uv  ## pin the dependencies again; make lock ARGS=--upgrade moves them
	$(call compile,dev.lock,--extra dev)
	$(call compile,run.lock,--constraint requirements/dev.lock)
	$(call compile,real.lock,--extra libvirt --constraint requirements/dev.lock)

clean:  ## remove .venv, caches and builds; recordings in runs/ stay
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One version of each package for every Python, so that the same seed gives the same trace on all of them.
compile = $(RUN)/uv pip compile pyproject.toml $(2) --output-file requirements/$(1) --quiet $(ARGS) \
	--universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.venv/ready: $(RUN)/python requirements/dev.lock pyproject.toml
	@echo "Installing AVE and its tools into .venv: under a minute, once"
	$(RUN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(RUN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# libvirt-python is built here, against Debian's libvirt: tests.real.install comes first.
.venv/real: .venv/ready requirements/real.lock
	$(RUN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/real.lock
	@touch $@

$(RUN)/uv: $(RUN)/python
	$(RUN)/python -m pip install --disable-pip-version-check $(UV)

$(RUN)/python:
	@for each in $(PYTHONS); do \
		if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "AVE needs Python 3.11 or later, and none of these is: $(PYTHONS). Name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Creating .venv with $$($$python --version)"; \
	$$python -m venv --clear .venv
