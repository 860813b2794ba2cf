# make demo            the edge install alone (no torch), and a video with its classes drawn on it
# make demo VIDEO=f    the same on a video of yours
# make test            everything: ruff, mypy, import-linter, pytest
PYTHON ?= python3
VIDEO ?=
SOURCES := $(shell find rsseg_edge export kernels calibration -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml
# Real airborne images under MIT; only the images inside are used, the package is never installed.
WHEEL := demo/deepforest-2.1.0-py3-none-any.whl

.PHONY: demo test clean

demo: .venv-edge/installed $(if $(VIDEO),,$(WHEEL))
	.venv-edge/bin/python scripts/demo.py $(if $(VIDEO),--video "$(VIDEO)",--wheel $(WHEEL)) -o demo

test: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	cd .venv && bin/mypy --config-file ../pyproject.toml
	cd .venv && bin/lint-imports --config ../pyproject.toml
	# A process a core, each with one thread: tests are many and small, and would wait for each other's threads.
	# What is skipped is named with its reason.
	OMP_NUM_THREADS=1 .venv/bin/pytest -n auto --maxprocesses 4 -rs

# The dependencies are installed once, and again when pyproject.toml changes; our own package whenever a file changed.
# Both are regular installs: only there do the checkers see the mapped folders as one package.
.venv-edge/dependencies: EXTRA =
.venv/dependencies: EXTRA = [test]
.venv-edge/dependencies .venv/dependencies: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'rsseg-edge needs Python 3.10 or later: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --upgrade pip
	$(@D)/bin/pip install --quiet ".$(EXTRA)"
	touch $@

.venv-edge/installed .venv/installed: %/installed: %/dependencies $(SOURCES)
	$(@D)/bin/pip install --quiet --no-deps --force-reinstall .
	touch $@

$(WHEEL): | .venv-edge/installed
	mkdir -p $(@D)
	.venv-edge/bin/pip download --quiet --no-deps --dest $(@D) deepforest==2.1.0

clean:
	rm -rf .venv .venv-edge build dist demo
