# Two commands matter: `make run` (watch a federation learn) and `make test`. Both set everything up first.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOB    ?= benchmark/configs/fashion_mnist/random.yml

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev proto run test test-long lint benchmark clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(BIN)/.installed ## Virtual environment, dependencies and generated stubs
setup-dev: $(BIN)/.installed-dev

$(BIN)/.installed: pyproject.toml tools/create_environment.py tools/build_stubs.py proto/fedswarm/v1/*.proto
	$(PYTHON) tools/create_environment.py $(VENV)
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

proto: $(BIN)/.installed ## Generate the stubs again after editing a .proto
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .

run: setup ## Train a federation on real images (JOB=path/to/job.yml for your own)
	$(BIN)/python driver/driver.py submit $(JOB)

lint: setup-dev ## Style, types and the laws of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## Everything that must hold before a commit
	$(BIN)/python -m pytest -m "not long" -n 2 --dist worksteal

test-long: setup-dev ## The slower tests
	$(BIN)/python -m pytest -m long

clean: ## Remove the environment and what was generated
	rm -rf $(VENV) fedswarm/v1 build dist
