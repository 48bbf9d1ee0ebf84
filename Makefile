# Two commands, each of which works first and alone on a machine with Python 3.11 and git:
#   make demo   the environment, phantom data, the whole pipeline, and where to look
#   make test   the environment, all tests
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install demo test lint ui

help:
	@sed -n '1,3s/^# *//p' Makefile

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: install
	lesion settings
	dvc repro
	@echo
	@echo "The report:     $(CURDIR)/reports/report.html"
	@echo "Compare runs:   make ui, then open http://127.0.0.1:5000"
	@echo "An experiment:  source $(VENV)/bin/activate; dvc exp run -S lr=1e-4; dvc exp show"

test: install
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile=ci

lint: install
	ruff check .
	ruff format --check .
	mypy

ui: install
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --workers 1
