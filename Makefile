# Every target runs on a machine that has only Python 3.11+, make and a network.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := contracts services/chassis services/payments services/provider-health services/tasks services/audit services/gateway deploy/local deploy/simulator
# The gateway makes its document out of these.
SERVICES := payments provider_health tasks audit
DOCUMENTS := contracts/src/contracts/openapi
SOURCES := contracts services deploy tests
STAMP := $(VENV)/.synced
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.tools/uv/bin/uv:
	@echo "uv is not on the PATH: installing it into .tools/uv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "$(PYTHON) has no pip: install pip or uv, then try again" >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools/uv uv==0.13.9

$(STAMP): requirements.lock pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS)) | $(UV)
	@echo "syncing $(VENV) with requirements.lock"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(UV) pip install --quiet --no-deps --python $(BIN)/python $(addprefix -e ./,$(MEMBERS))
	@$(BIN)/python -m compileall -q $(addsuffix /src,$(MEMBERS))
	@touch $@

sync: $(STAMP) ## Install what requirements.lock names into .venv

lock: | $(UV) ## Resolve again and write requirements.lock
	@$(UV) lock
	@$(UV) export --quiet --all-packages --all-groups --no-emit-workspace -o requirements.lock

demo: $(STAMP) ## Start the whole stack and play one month of a gym through it
	@$(BIN)/backbone demo

up: $(STAMP) ## Start the whole stack without the story
	@$(BIN)/backbone up

down: $(STAMP) ## Stop the stack; data survives
	@$(BIN)/backbone down

test: $(STAMP) ## Run the suite against real PostgreSQL and Kafka; ARGS="-k ledger" for a part
	@$(BIN)/python -m pytest --numprocesses auto $(ARGS)

check: $(STAMP) ## Lint, types, import rules, generated files
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports
	@$(BIN)/python -m contracts check
	@for each in $(SERVICES); do $(BIN)/python -m $$each openapi --check $(DOCUMENTS)/$$each.json; done

generate: $(STAMP) ## Write the files that derive from the code
	@$(BIN)/python -m contracts generate
	@for each in $(SERVICES); do $(BIN)/python -m $$each openapi $(DOCUMENTS)/$$each.json; done

bench: $(STAMP) ## Measure ours beside the floor and the first draft
	@$(BIN)/python -m tests.bench

soak: $(STAMP) ## Send a million chaotic events while processes are killed (SOAK="--help" for its size)
	@$(BIN)/python -m tests.soak $(SOAK)

format: $(STAMP) ## Format the sources
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

.PHONY: help sync lock demo up down test check generate bench soak format
