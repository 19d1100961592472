# Neural Mesh. Each target works as the first command in a fresh clone; `make help` lists them.

PYTHON ?= python3.11
UV ?= $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
TOOLS := .tools
TOOLS_STAMP := $(TOOLS)/.stamp
PEERS_STAMP := $(TOOLS)/peers/.stamp
KERNEL_PEERS_STAMP := $(TOOLS)/peers/kernel/.stamp

NATIVE := $(wildcard native/src/*/*.c native/src/*/*.h native/include/*.h native/liam_core/_build.py)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-index demo-transform demo-labor demo-mesh up test test-mesh test-labor test-interop sanitize fuzz-loaders lint types format generate breaking tools peers bench bench-serving bench-kernel bench-mesh bench-labor bench-load lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: $(STAMP) ## virtual environment in .venv from the lock file, with the kernel compiled

$(STAMP): requirements/dev.txt pyproject.toml setup.py tools/setup.sh $(NATIVE)
	@PYTHON='$(PYTHON)' UV='$(UV)' bash tools/setup.sh '$(VENV)' requirements/dev.txt
	@touch $@

demo: $(STAMP) ## train, push, promote, roll back and trace on real data
	@$(BIN)/python -m neuralmesh_server.demo

demo-index: $(STAMP) ## digits by their nearest neighbours: a binary index, two versions of it
	@$(BIN)/python -m neuralmesh_server.demo.retrieval

demo-transform: $(STAMP) ## near duplicates of digits: a signal transform, and an index of what it gives
	@$(BIN)/python -m neuralmesh_server.demo.near_duplicates

demo-labor: $(STAMP) ## one batch job on one worker, two, two of which one is killed, and Dask: the same bytes
	@$(BIN)/python -m neuralmesh_server.demo.labor

demo-mesh: $(STAMP) ## two edge nodes serve while the line is cut, converge when it is back, and roll back on site
	@$(BIN)/python -m neuralmesh_server.demo.mesh

up: $(STAMP) ## the three services on loopback until Ctrl-C, data in ./data
	@$(BIN)/neuralmesh up

test: $(STAMP) ## every test that needs nothing but PyPI, two at a time
	$(BIN)/pytest -n 2 --dist worksteal --ignore=tests/interop --ignore=tests/mesh/long --ignore=tests/labor/long

test-mesh: $(STAMP) ## the mesh at length: SCHEDULES=n simulated from seed FIRST=n on, and kill -9 at every point
	$(BIN)/python -m tests.mesh.simulation.schedules $(or $(FIRST),0) $(or $(SCHEDULES),3000)
	$(BIN)/pytest tests/mesh/long

test-labor: $(STAMP) ## one job over every number of workers, engine, fault and kill: one output digest
	$(BIN)/pytest tests/labor/long

test-interop: $(TOOLS_STAMP) $(PEERS_STAMP) $(KERNEL_PEERS_STAMP) ## foreign clients and tools against the real services; fails where a tool is absent
	buf lint
	$(BIN)/pytest tests/interop

sanitize: $(STAMP) ## the kernel's tests, fuzzers and threads under ASan, UBSan and TSan; fails on any report; SECONDS=n of each fuzzer
	$(MAKE) -C native sanitize $(if $(SECONDS),SECONDS=$(SECONDS))
	bash tools/sanitize.sh '$(BIN)'

fuzz-loaders: $(STAMP) ## the loaders of model files on changed files, for SECONDS=n; KEEP=1 adds to the corpus
	$(BIN)/python -m tests.native.loader_fuzz $(or $(SECONDS),60) $(if $(KEEP),--keep)

lint: $(STAMP) ## ruff, and generated code is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/unasync.py --check

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

format: $(STAMP) ## format, and repair what ruff can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP) ## stubs from protos, the synchronous client from the asynchronous one
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/unasync.py

breaking: $(TOOLS_STAMP) ## hold the contracts against those of AGAINST (a commit; HEAD unless given)
	buf breaking --against '.git#ref=$(or $(AGAINST),HEAD)'

tools: $(TOOLS_STAMP) ## what PyPI does not hold, into .tools: grpcurl, ghz, grpc-health-probe, h2spec, buf, h2load, docker-compose, interop venv

$(TOOLS_STAMP): $(STAMP) requirements/interop.txt tools/install.sh clients/node/package-lock.json
	@PYTHON='$(PYTHON)' UV='$(UV)' bash tools/install.sh '$(TOOLS)'
	@touch $@

peers: $(PEERS_STAMP) $(KERNEL_PEERS_STAMP) ## MLServer, tritonserver, and what the kernel is compared with, apart from one another in .tools/peers (850 MB)

$(PEERS_STAMP): bench/peers/install.sh
	@PYTHON='$(PYTHON)' UV='$(UV)' bash bench/peers/install.sh '$(TOOLS)/peers'
	@touch $@

$(KERNEL_PEERS_STAMP): requirements/kernel-peers.txt bench/peers/install_kernel.sh bench/peers/kernel/m4ri_peer.c
	@PYTHON='$(PYTHON)' UV='$(UV)' bash bench/peers/install_kernel.sh '$(TOOLS)/peers/kernel'
	@touch $@

bench-serving: $(TOOLS_STAMP) $(PEERS_STAMP) ## the speed table; fails where a target is missed; ONLY=rows QUICK=1 WRITE=1 ROUNDS=n
	$(BIN)/python bench/serving.py $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(WRITE),--write) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-kernel: $(TOOLS_STAMP) $(KERNEL_PEERS_STAMP) ## the kernel's speed table; fails where a target is missed; ONLY=rows QUICK=1 WRITE=1 ROUNDS=n LEVEL=avx2
	$(BIN)/python -m bench.kernel $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(WRITE),--write) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LEVEL),--level $(LEVEL))

bench-mesh: $(TOOLS_STAMP) ## the mesh's speed table; fails where a target is missed; ONLY=rows QUICK=1 WRITE=1 ROUNDS=n
	$(BIN)/python -m bench.mesh $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(WRITE),--write) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-labor: $(STAMP) ## the labor array's speed table; fails where a target is missed; ONLY=rows QUICK=1 WRITE=1 ROUNDS=n
	$(BIN)/python -m bench.labor $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(WRITE),--write) $(if $(ROUNDS),--rounds $(ROUNDS))

bench: bench-serving bench-kernel bench-mesh bench-labor ## all four

bench-load: $(TOOLS_STAMP) ## `neuralmesh load`, ghz and h2load against one node, one after the other
	$(BIN)/python bench/load_tools.py

lock: ## resolve requirements/*.txt again under requirements/pins.txt
	@PYTHON='$(PYTHON)' UV='$(UV)' bash tools/lock.sh

clean: ## remove what was built and installed; ./data stays
	rm -rf $(VENV) $(TOOLS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f native/liam_core/_liam.c native/liam_core/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
