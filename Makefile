# The kit's commands. Each sets itself up: a .venv with the pinned packages of requirements.lock, made once.
#
#   make figures                  every notebook, every table and figure (PROFILE=smoke|laptop|paper)
#   make test                     make lint, then the tests
#   make lint                     ruff, the order of the rooms, types, the hosted workflows
#   make test-browser             the panels in a real JupyterLab and Chromium (part of make test where Chromium is)
#   make stress                   the panel notebooks headless, 100 runs with a time limit each (RUNS=100)
#   make kill                     every resumable piece of work killed 30 times and gone on with (ARGS="--kills 100")
#   make fuzz                     10,000 damaged files and options through every door (CASES=10000)
#   make lab                      JupyterLab on copies of the notebooks, in my_notebooks
#   make bench                    the benchmarks
#   make book                     the executed notebooks as a static site, build/book/html/index.html (PROFILE=...)
#   make doctor                   what is installed, found and missing
#   make notebooks                notebooks/*.ipynb from notebooks/src/*.py
#   make lock                     requirements.lock from environment.yml (UPGRADE=1 for newer versions)
#
# PYTHON=/path/to/python chooses the interpreter that .venv is made from (3.11 to 3.13).

PROFILE ?= laptop
PYTHON ?=
ARGS ?=
RUNS ?= 100
CASES ?= 10000
# Relative, so that a clone may lie under any path, blanks included.
VENV_PYTHON := .venv/bin/python
READY := .venv/ready

.PHONY: help setup figures book test test-browser stress kill fuzz lint lab bench doctor notebooks check-notebooks lock clean distclean

help:
	@sed -n 's/^#   //p' Makefile

figures: $(READY)
	@$(VENV_PYTHON) -m facedepth_kit.cli figures --profile "$(PROFILE)" $(ARGS)

book: $(READY)
	@$(VENV_PYTHON) tools/book.py --profile "$(PROFILE)" $(ARGS)

test: lint
	@$(VENV_PYTHON) -m pytest tests $(ARGS)

lint: $(READY)
	@$(VENV_PYTHON) -m ruff check
	@$(VENV_PYTHON) -c 'from importlinter.cli import lint_imports_command as check; check()' --no-logo
	@$(VENV_PYTHON) -m mypy
	@$(VENV_PYTHON) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/zizmor --offline --no-progress --quiet .github/workflows

test-browser: $(READY)
	@FACEDEPTH_BROWSER=required $(VENV_PYTHON) -m pytest tests/browser $(ARGS)

stress: $(READY)
	@$(VENV_PYTHON) tools/stress.py --runs "$(RUNS)" $(ARGS)

kill: $(READY)
	@$(VENV_PYTHON) -m tests.kills $(ARGS)

fuzz: $(READY)
	@$(VENV_PYTHON) -m tests.damage --cases "$(CASES)" $(ARGS)

lab: $(READY)
	@$(VENV_PYTHON) tools/lab.py $(ARGS)

bench: $(READY)
	@$(VENV_PYTHON) -m pytest tests/benchmarks -o python_files='bench_*.py' -s $(ARGS)

doctor: $(READY)
	@$(VENV_PYTHON) -m facedepth_kit.cli doctor

notebooks: $(READY)
	@$(VENV_PYTHON) -m facedepth_kit.cli notebooks

check-notebooks: $(READY)
	@$(VENV_PYTHON) -m facedepth_kit.cli notebooks --check

lock: $(READY)
	@$(VENV_PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

setup: $(READY)
	@echo "setup: .venv is ready"

# The mark holds the place it was made for: a clone that was moved, or whose Python is gone, is set up again.
ifneq ($(shell $(VENV_PYTHON) -c '' 2>/dev/null && [ "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" ] && echo yes),yes)
.PHONY: $(READY)
endif
$(READY): requirements.lock pyproject.toml
	@sh tools/setup.sh "$(PYTHON)"

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

distclean: clean
	rm -rf .venv facedepth_kit.egg-info
