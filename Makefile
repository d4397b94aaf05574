# `make check` and `make test` need Python 3.11 or newer with venv, and make; they fetch the rest.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: check test slow coverage bench docs lock clean .venv

check: .venv
	$(BIN)/rmaplab check root-drops-itself --kernel seed-v2
	$(BIN)/rmaplab check --first

test: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --ignore=tests/slow

slow: .venv
	$(BIN)/pytest -n 2 tests/slow

# Which lines of the modelled kernels no test of theirs reaches.
coverage: .venv
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 tests/cover/kernel tests/cover/history
	$(BIN)/coverage combine --quiet
	$(BIN)/python tests/kernel_lines.py

# rmaplab beside SPIN (Debian's: apt-get install spin) and Harmony; what is missing is left out.
bench: .venv build/harmony/installed
	$(BIN)/python benchmarks/bench.py

build/harmony/installed: benchmarks/peers/harmony/requirements.txt
	$(PYTHON) -m venv --clear build/harmony
	build/harmony/bin/pip install --quiet -r $< && touch $@ || \
		echo 'Harmony could not be installed: going on without it' >&2

.venv: .venv/installed

.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'rmaplab needs Python 3.11 or newer: make PYTHON=python3.11' >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Renews the output that README.md and docs show.
docs: .venv
	$(BIN)/python docs/generate.py

# Takes newer dependencies; needs uv.
lock:
	uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
		--no-annotate --custom-compile-command 'make lock' --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage*
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
