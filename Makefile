# Spotproof: two commands do everything on a fresh machine, `make demo` and `make test`.
# Needed beforehand: Python 3.11 or newer, git, make. The rest is installed into this directory.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Byte code is kept out of the sources' way, and kept: without it each synth and each test process compiles the CDK again.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.build/pycache

SEED ?= 1
SEEDS ?= 500
FIRST_SEED ?= 1
FRESH ?= 0
N ?= 1000000
SHARD_BY ?= time
PLAN ?= interrupt
PROFILE ?= baseline
# A strict deployment needs an image of a registry that its network reaches; to judge the templates an example does.
IMAGE ?= 123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000
SYNTH_CONTEXT = {"compliance":"$(PROFILE)"$(if $(filter strict,$(PROFILE)),$(comma)"worker_image":"$(IMAGE)")}
comma := ,
PY := .venv/bin/python
SETUP = @python="$$(tools/find-python)" && exec "$$python" -m tools.setup
# Node first, then the environment's own programs (uv, the AWS command line), then the system's.
WITH_TOOLS = PATH="$$(PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m localcloud.node path)"

.PHONY: help setup setup-dev setup-demo setup-bench setup-ml demo gameday test test-ml check simulate crashes mutants format synth fuzz sbom lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
	    while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

demo: setup-demo ## deploy locally, run real flights on Spot, interrupt it, compare (SEED=1 SHARD_BY=time|hash|range)
	@$(WITH_TOOLS) exec $(PY) -m demo --seed "$(SEED)" --shard-by "$(SHARD_BY)"

gameday: setup-demo ## deploy locally, run real flights, play a game day on them (PLAN=interrupt|interrupt-half|no-capacity)
	@$(WITH_TOOLS) exec $(PY) -m demo.game_day --plan "$(PLAN)"

test: setup-dev ## every test, the ones on the local account included
	@echo "tests on fakes, moto and templates …"; \
	export $(WITH_TOOLS); \
	$(PY) -m pytest tests -q -n auto --maxprocesses=4 -m "not local"; first=$$?; \
	echo "tests on the local account, with real worker processes …"; \
	$(PY) -m pytest tests -q -m "local and own_account" > .build/own-account.log 2>&1 & own=$$!; \
	$(PY) -m pytest tests -q -m "local and not own_account"; second=$$?; \
	wait $$own; third=$$?; cat .build/own-account.log; \
	exit $$((first || second || third))

test-ml: setup-ml ## training with real torch and transformers, in an environment of its own (.venv-ml)
	@.venv-ml/bin/python -m pytest tests/ml -q

check: setup-dev ## format, lint, import layers, types, fast tests, 500 simulated jobs
	@echo "format …" && $(PY) -m ruff format --check --quiet .
	@echo "lint …" && $(PY) -m ruff check --quiet .
	@echo "import layers …" && .venv/bin/lint-imports --no-cache > .build/lint-imports.log || { cat .build/lint-imports.log; exit 1; }
	@echo "types …" && $(PY) -m mypy
	@echo "fast tests …" && $(WITH_TOOLS) $(PY) -m pytest tests -q -n 2 -m "not local and not slow"
	@echo "simulated jobs …" && $(PY) -m simulation --seeds "$(SEEDS)" --first "$(FIRST_SEED)"

simulate: setup-dev ## simulated jobs under every fault (SEEDS=500 FIRST_SEED=1 FRESH=0), or one retold (SEED=x)
	@$(PY) -m simulation $(if $(filter command line environment,$(origin SEED)),--seed "$(SEED)",--seeds "$(SEEDS)" --first "$(FIRST_SEED)" --fresh "$(FRESH)")

mutants: setup-dev ## plant each known protocol bug: the simulation must catch it within 500 seeds
	@$(PY) -m tests.simulation.mutants

crashes: setup-dev ## every fault at every AWS call of small worlds, and every two of them (SLICE=0/24: a part of the pairs)
	@$(PY) -m simulation.enumeration $(if $(SLICE),--slice "$(SLICE)",--pairs --json bench/results/crashes.json)

format: setup-dev ## put the code into its one format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

synth: setup-dev ## synthesize into cdk.out and judge it: rule packs, cfn-lint, own rules (PROFILE=baseline|strict)
	@rm -rf cdk.out && $(WITH_TOOLS) CDK_OUTDIR=cdk.out CDK_CONTEXT_JSON='$(SYNTH_CONTEXT)' $(PY) app.py
	@$(PY) -m tools.template_lint cdk.out; lint=$$?; \
	$(PY) -m tools.guard cdk.out --profile $(PROFILE); guard=$$?; \
	[ $$lint = 0 ] && [ $$guard = 0 ] || exit 1
	@echo "synthesized ($(PROFILE)): $$(ls cdk.out/*.template.json | wc -l | tr -d ' ') templates in cdk.out"

setup: setup-dev ## install everything for development into .venv (the other commands do it themselves)

setup-dev:
	$(SETUP) dev

setup-demo:
	$(SETUP) demo

setup-bench:
	$(SETUP) bench

setup-ml:
	$(SETUP) ml

fuzz: setup-dev ## bad inputs for everything that reads what others wrote: no crash, no hang (N=1000000 SEED=1)
	@$(PY) -m bench.fuzz --inputs "$(N)" --seed "$(SEED)"

sbom: setup-dev ## what is in the parts, as CycloneDX documents in .build/sbom
	@$(PY) -m tools.sbom

lock: setup-dev ## resolve requirements*.in again into the hashed locks
	@$(PY) -m tools.locks

clean: ## remove everything that was made here, the local account and the installed packages included
	@if [ -x .venv/bin/python ] && [ -d .localcloud ]; then $(PY) -m localcloud down >/dev/null 2>&1 || true; fi
	rm -rf .venv .venv-ml .build .localcloud cdk.out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
