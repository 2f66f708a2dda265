# One front door. Every target makes its own set-up; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help dev fmt check proto test clients chaos soak demo up bench clean
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: .venv/stamp ## Make .venv (Python 3.11 or newer) with everything locked in constraints.txt

.venv/stamp: pyproject.toml constraints.txt tools/make_venv.sh
	@sh tools/make_venv.sh

fmt: dev ## Format Python and protos
	ruff check --fix-only -q . && ruff format -q . && buf format -w

check: dev ## Lint, types, imports, contract, drift and house rules
	@python tools/check.py

proto: dev ## Regenerate protos/gen and the services' validation rules
	@sh tools/genproto.sh

test: dev ## Run every test that is not marked nightly; what failed runs once more, alone, and is named
	@sh tools/run_suite.sh

clients: dev ## One scenario in Python, TypeScript, Go and C++ (fetches what builds them)
	python tools/clients.py

chaos: dev ## Every fault that is injected into a deployment, the long ones too; prints runs and broken invariants
	python -m pytest -q -n 2 --dist worksteal -m chaos

soak: dev ## 20 agents, 10,000 tasks, a fault every 20 s: does anything grow? (two hours at most)
	python -m tests.chaos.soak

demo: dev ## The main job: a training script goes to an agent and back
	python tools/demo.py

up: dev ## Serve everything on this machine until Ctrl-C
	batuta up

bench: dev ## Print the measured figures beside their limits
	python -m bench

clean: ## Remove what was built; never your data
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
