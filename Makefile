# The three commands of the README are demo, test and lab; setup is what they share.
PYTHON ?= python3
BIN := .venv/bin
export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing is resolved here: a release that came out today, or a folder of other wheels, changes nothing.
INSTALL = $(BIN)/python -m pip install --quiet --no-deps --require-hashes
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: setup demo test lab lint bench browser lock clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("labkit needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@echo "Making .venv: about 90 seconds the first time."
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

demo: setup
	@$(BIN)/python notebooks/demo.py

lab: setup
	$(BIN)/jupyter lab $(ROOT_FLAG) --notebook-dir=notebooks

test: setup browser lint
	$(BIN)/python -m pytest -n 2 -m "not browser" --cov --cov-report=
	$(BIN)/python -m pytest -m browser --cov --cov-append --cov-report=term

lint: setup
	$(BIN)/ruff format --check labkit tests notebooks datasets benchmarks
	$(BIN)/ruff check labkit tests notebooks datasets benchmarks
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/client_speed.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/under_faults.py
	$(BIN)/python benchmarks/cancellation.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/reading_speed.py
	$(BIN)/python benchmarks/guards_speed.py
	$(BIN)/python benchmarks/stats_false_positives.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/kill_and_resume.py

# Browser tests need Chromium from the distribution; where it cannot be installed they are skipped, saying so.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || echo "No Chromium and no way to install it: browser tests will be skipped."

# Names, versions and hashes only. Needs uv, which is not part of the environment.
lock:
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --quiet pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
