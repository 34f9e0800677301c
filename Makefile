# Everything here sets up what it needs. PYTHON names the interpreter to build with (3.11 or newer).
PYTHON ?= python3
SERVERDIR ?= serverdir
FUZZ_SECONDS ?= 60
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for clients and servers half of the time. A file is one process's, with what it shares.
AT_ONCE := --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: serve pyz test full crash compare fuzz soak lint types bench bench-check clean

serve: $(VENV)/installed
	$(BIN)/simpleindex-server serve --serverdir=$(SERVERDIR)

pyz: $(VENV)/installed
	@mkdir -p dist
	$(BIN)/simpleindex-server pyz dist/server.pyz

test: $(VENV)/installed-test
	$(BIN)/python -m tests.clients.fetch || test $$? -eq 3
	$(BIN)/python -m tests.clients.tools || test $$? -eq 3
	$(BIN)/python -m pytest -m "not full" $(AT_ONCE)

full: $(VENV)/installed-test
	$(BIN)/python -m tests.clients.fetch || test $$? -eq 3
	$(BIN)/python -m tests.clients.tools || test $$? -eq 3
	$(BIN)/python -m pytest --ignore=tests/crash -m "not alone" $(AT_ONCE)
	$(BIN)/python -m pytest --ignore=tests/crash -m alone
	$(MAKE) crash

crash: $(VENV)/installed-test
	$(BIN)/python -m pytest tests/crash $(AT_ONCE) --dist=load

compare: $(VENV)/installed-test
	$(BIN)/python -m tests.clients.tools
	$(BIN)/python -m pytest tests/compatibility --server=devpi

fuzz: $(VENV)/installed-test
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.everything

bench-check: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.everything --check

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "venv is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,dev]"
	@touch $@ $(VENV)/installed $(VENV)/installed-test
