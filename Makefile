# Lookalike's doors. Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
SETUP := $(VENV)/.installed
PROTOC_VENV := build/protoc-venv
BENCH_VENV := build/bench-venv
LITSERVE_VENV := build/litserve-venv
SBOMS := build/sbom/search.cdx.json build/sbom/embedder.cdx.json
OPERATE := stops deaths rollout faults abuse fairness rotation soak
# Two processes whatever the machine: the tests start servers of their own.
PARALLEL := -n 2 --dist loadscope

.PHONY: help setup demo test bench-search bench-rivals bench-swap bench-embed bench-quality proof-search proof-embed proof-operate proof-watch check protos docs lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(SETUP) ## the virtual environment with everything in it

$(UV): requirements/uv.txt
	@./.ci/system-packages
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(SETUP): $(UV) requirements/dev.txt pyproject.toml
	@echo "installing into $(VENV) (a minute or two the first time) ..."
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(SETUP) ## the whole story on real input: build/demo/report.html (IMAGES=DIR, BACKBONE=resnet152)
	@$(BIN)/lookalike demo --out build/demo $(if $(IMAGES),--images "$(IMAGES)") $(if $(BACKBONE),--backbone $(BACKBONE))

test: $(SETUP) ## every test: first those without torch, then the others
	@./.ci/system-packages strace prometheus dnsmasq ip:iproute2 || echo "without them their tests are left out" >&2
	@$(BIN)/python -m pytest -q $(PARALLEL) -m "not torch"
	@$(BIN)/python -m pytest -q $(PARALLEL) -m torch

bench-search: $(SETUP) ## the search tier's figures at full size: engines, calls, filters, builds, changes, overload
	@for part in engines rpc_cost filters naive build_cost delta_cost overload; do \
	    $(BIN)/python -m benchmarks.$$part || exit 1; done
	@$(MAKE) --no-print-directory bench-rivals

bench-rivals: $(SETUP) $(BENCH_VENV)/.installed ## the search service beside Milvus and PostgreSQL with pgvector
	@$(BIN)/python -m benchmarks.rivals

$(BENCH_VENV)/.installed: requirements/bench.txt | $(SETUP)
	@$(PYTHON) -m venv $(BENCH_VENV)
	@VIRTUAL_ENV=$(BENCH_VENV) $(UV) pip sync --quiet --require-hashes requirements/bench.txt
	@touch $@

bench-swap: $(SETUP) ## 300 swaps of full-size generations under load (SWAPS=N for fewer): about 80 minutes
	@$(BIN)/python -m benchmarks.swap $(if $(SWAPS),--swaps $(SWAPS))

bench-embed: $(SETUP) $(LITSERVE_VENV)/.installed ## the embedder's figures on this machine's device, beside LitServe: about 25 minutes on two cores
	@$(BIN)/python -m benchmarks.embed

$(LITSERVE_VENV)/.installed: requirements/litserve.txt | $(SETUP)
	@$(PYTHON) -m venv $(LITSERVE_VENV)
	@VIRTUAL_ENV=$(LITSERVE_VENV) $(UV) pip sync --quiet --require-hashes requirements/litserve.txt
	@touch $@

bench-quality: $(SETUP) ## both recipes on the sample catalogue, three seeds; goes on where it was interrupted
	@$(BIN)/python -m benchmarks.quality

proof-search: $(SETUP) ## mutations, kill -9, power cuts, full disks, mishaps: about 45 minutes, as root
	@./.ci/system-packages strace
	@$(BIN)/python -m proofs.lost_writes
	@$(BIN)/python -m proofs.full_disk
	@$(BIN)/python -m proofs.mishaps
	@$(BIN)/python -m proofs.kills
	@$(BIN)/python -m proofs.mutations

proof-embed: $(SETUP) ## what hostile images and a failing device cost the embedder
	@$(BIN)/python -m proofs.hostile_images
	@$(BIN)/python -m proofs.device_failures

proof-operate: $(SETUP) ## ends, deaths, rolling restarts, bad networks, strangers, soak: more than an hour, as root (PARTS="stops deaths ...")
	@./.ci/system-packages dnsmasq ip:iproute2 || true
	@failed=; for part in $(or $(PARTS),$(OPERATE)); do \
	    echo; echo "proofs.$$part"; \
	    GRPC_VERBOSITY=ERROR $(BIN)/python -m proofs.$$part || failed="$$failed $$part"; done; \
	    test -z "$$failed" || { echo "failed, or left out as said above:$$failed" >&2; exit 1; }

proof-watch: $(SETUP) ## what goes wrong under load brings its alert and no other; draws the dashboards
	@./.ci/system-packages prometheus
	@$(BIN)/python -m proofs.watch --pictures docs/pictures

check: $(SETUP) $(SBOMS) ## style, types, boundaries, contracts, generated files, manifests, known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@command -v kubectl >/dev/null || ./.ci/system-packages kubernetes-client || true
	@$(BIN)/python -m pytest -q tests/test_boundaries.py tests/test_dangers.py tests/deploy
	@$(BIN)/buf lint
	@# What was released stays readable; before the first release there is nothing to break.
	@released=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true); \
	    test -z "$$released" || $(BIN)/buf breaking --against ".git#tag=$$released"
	@rm -rf build/protos-check
	@$(MAKE) --no-print-directory protos OUT=build/protos-check
	@$(BIN)/python -m tools.generated check
	@$(BIN)/python -m tools.audit

# What the images hold, in CycloneDX: every package of the lock, with its hashes.
build/sbom/%.cdx.json: requirements/%.txt pyproject.toml | $(SETUP)
	@mkdir -p $(@D)
	@$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements $< --pyproject pyproject.toml \
	    --output-reproducible --output-file $@

protos: $(PROTOC_VENV)/.installed ## the committed stubs, from the .proto files
	@PATH="$(PROTOC_VENV)/bin:$$PATH" $(PROTOC_VENV)/bin/python tools/protos.py $(or $(OUT),protos)

$(PROTOC_VENV)/.installed: requirements/protoc.txt | $(SETUP)
	@$(PYTHON) -m venv $(PROTOC_VENV)
	@VIRTUAL_ENV=$(PROTOC_VENV) $(UV) pip sync --quiet --require-hashes requirements/protoc.txt
	@touch $@

docs: $(SETUP) ## what is made from code: pages of docs/, deploy/monitoring
	@$(BIN)/python -m tools.generated write

lock: $(UV) ## the hash-locked requirements, from pyproject.toml
	@./tools/lock

clean: ## what was built, but not the virtual environment
	@rm -rf build dist
