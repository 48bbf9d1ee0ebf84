# Two commands, each of which works first and alone on a machine with Python 3.11 and git:
#   make demo   the environment, phantom data, the whole pipeline, and where to look
#   make test   the environment, all tests
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

# The demo's branches that do not need each other run beside each other, each by a `dvc repro` of its own: DVC runs one
# stage at a time. Once, and with the demo's params.yaml; whatever is missing or failed is left to the last `dvc repro`.
DEMO := src/lesion_transfer/presets/demo.yaml
REPRO := dvc --wait-for-lock repro
BESIDE := $(REPRO) --single-item

.PHONY: help install demo test lint ui side-by-side data-of-target data-of-others chain beside-chain

help:
	@sed -n '1,3s/^# *//p' Makefile

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: export LESION_PIPELINE := demo-$(shell date +%s)
demo: install
	lesion settings
	@if [ ! -e models/roulette ] && cmp -s params.yaml $(DEMO); then $(MAKE) --no-print-directory side-by-side || true; fi
	dvc repro
	@echo
	@echo "The report:     $(CURDIR)/reports/report.html"
	@echo "Compare runs:   make ui, then open http://127.0.0.1:5000"
	@echo "An experiment:  source $(VENV)/bin/activate; dvc exp run -S lr=1e-4; dvc exp show"

side-by-side:
	@mkdir -p .lesion
	$(REPRO) settings
	$(MAKE) --no-print-directory -j 2 data-of-target data-of-others
	$(REPRO) assign outer
	$(MAKE) --no-print-directory -j 2 chain beside-chain

data-of-target:
	$(BESIDE) acquire@prostatex cohort@prostatex_dwi cohort@prostatex_mpmri check@prostatex_dwi check@prostatex_mpmri

data-of-others:
	$(BESIDE) $(foreach name,brain lungx prostatex_test,acquire@$(name)) \
	  $(foreach name,brain lung prostatex_test,cohort@$(name) check@$(name)) > .lesion/data-of-others.log 2>&1

chain:
	$(BESIDE) roulette train transfer

beside-chain:
	$(BESIDE) ledger reproduction challenge > .lesion/beside-chain.log 2>&1

test: install
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile=ci

lint: install
	ruff check .
	ruff format --check .
	mypy

ui: install
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --workers 1
