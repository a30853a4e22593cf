# Every target sets up what it needs. `make help` lists the targets.
PYTHON ?= $(shell sh scripts/python)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PROTOS := $(wildcard proto/broker/v1/*.proto)

.DEFAULT_GOAL := help
.PHONY: help system baselines-system stubs-system node demo test stubs check bench bench-compare bench-replay bench-baselines serve serve-plain loadtest proto lock format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

system: ## install python3-venv, the only system package that is needed (Debian, as root)
	apt-get update -qq && apt-get install -y -qq python3-venv

baselines-system: ## install Varnish, Redis and wrk, which only bench-baselines needs (Debian, as root)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends varnish redis-server wrk

COMPILERS := golang-go golang-google-grpc-dev golang-google-protobuf-dev protoc-gen-go protoc-gen-go-grpc \
	default-jdk-headless libgeronimo-annotation-1.3-spec-java libgrpc-java libguava-java libprotobuf-java \
	protobuf-compiler protobuf-compiler-grpc-java-plugin

stubs-system: ## install the compilers and libraries of Go and Java, which only stubs needs, 1.2 GB (Debian, as root)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $(COMPILERS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(MAKE) system && $(PYTHON) -m venv $(VENV); }

$(READY): locks/dev.txt locks/oracle.txt pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (about a minute, once)"
	@{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r locks/dev.txt \
		&& $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --ignore-requires-python -r locks/oracle.txt \
		&& $(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	} > $(VENV)/setup.log 2>&1 || { cat $(VENV)/setup.log; exit 1; }
	@touch $(READY)

# Generators and clients in TypeScript, which only tests need. They are installed beside .venv's own packages, by hash.
STUBS := tests/end_to_end/stubs
NODE  := $(VENV)/node/node_modules/.package-lock.json

$(NODE): $(STUBS)/package-lock.json $(STUBS)/package.json $(STUBS)/.npmrc | $(READY)
	@echo "installing the packages for Node in $(VENV)/node (about ten seconds, once)"
	@mkdir -p $(VENV)/node && cp $(STUBS)/package.json $(STUBS)/package-lock.json $(STUBS)/.npmrc $(VENV)/node
	@cd $(VENV)/node && ../bin/npm ci > npm.log 2>&1 || { cat npm.log; exit 1; }
	@touch $@

node: $(NODE) ## install the packages for Node that tests need, in .venv

demo: $(READY) ## mock institutions, a broker and courts of four levels; takes less than half a minute
	@$(BIN)/broker demo

test: $(READY) $(NODE) ## the whole test suite, a file at a time on each core
	$(BIN)/python -m pytest -n auto --dist loadfile

stubs: $(READY) ## compile the stubs of the contract for Go and Java
	@dpkg -s $(COMPILERS) > /dev/null 2>&1 || $(MAKE) stubs-system
	$(BIN)/python -m pytest -m compilers tests/end_to_end/stubs

check: $(READY) ## formatting, linting, types, contracts, generated code, Dockerfile
	@BIN=$(BIN) sh scripts/check

FUZZING := $(VENV)/.fuzzing
$(FUZZING): locks/fuzz.txt | $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/fuzz.txt
	@touch $(FUZZING)

fuzz: $(FUZZING) ## fuzz whatever reads foreign bytes, for FUZZ_SECONDS (30) each; TARGETS="request policy" for some
	$(BIN)/python -m tests.fuzzing --seconds $(or $(FUZZ_SECONDS),30) $(TARGETS)

AUDITING := $(VENV)/.auditing
$(AUDITING): locks/audit.txt | $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/audit.txt
	@touch $(AUDITING)

audit-dependencies: $(AUDITING) ## look up known vulnerabilities of what is locked; fails without access to pypi.org
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r locks/runtime.txt

bench: $(READY) ## the short benchmarks, under ten minutes
	$(BIN)/python -m benchmarks.hits
	$(BIN)/python -m benchmarks.misses
	$(BIN)/python -m benchmarks.misses --dialect protobuf
	$(BIN)/python -m benchmarks.interactive
	$(BIN)/python -m benchmarks.command_line --lookups 100000
	$(BIN)/python -m benchmarks.store_growth --records 2_000_000
	$(BIN)/python -m benchmarks.steps
	$(BIN)/python -m benchmarks.alternatives
	$(BIN)/python -m benchmarks.worker_cpu
	$(BIN)/python -m benchmarks.worker_cpu --path hits

bench-compare: $(READY) ## is NEW (default: the working tree) slower than OLD? Both are commits or folders
	$(BIN)/python -m benchmarks.compare $(or $(OLD),$(error name the old version: make bench-compare OLD=main)) $(or $(NEW),.)

bench-baselines: $(READY) ## compare with Varnish, Redis and a straightforward broker; needs `make baselines-system`
	$(BIN)/python -m benchmarks.baselines

bench-replay: $(READY) ## the national workload, 195 million inquiries in var/replay; resumes where it stopped
	$(BIN)/python -m benchmarks.replay --inquiries 195_000_000 --folder var/replay

serve: $(READY) ## mock institutions and a broker on their default ports, over mutual TLS, until Ctrl-C
	@$(BIN)/broker demo --serve

serve-plain: $(READY) ## the same without TLS, to try clients that have no certificates yet
	@$(BIN)/broker demo --serve --plain-text

loadtest: $(READY) ## run Locust for a minute, against a broker that it starts
	$(BIN)/python -m loadtest

proto: $(READY) ## generate broker/v1 from proto/, and the tables in docs/
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. $(PROTOS)
	$(BIN)/python -m grpc_tools.protoc -I proto --grpc_python_out=. proto/broker/v1/investigation.proto
	$(BIN)/python scripts/reference.py .

lock: $(READY) ## update locks/ from pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
		--generate-hashes --allow-unsafe --extra server --extra dev -o locks/dev.txt pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
		--generate-hashes --allow-unsafe --extra server -c locks/dev.txt -o locks/runtime.txt pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
		--generate-hashes --allow-unsafe --no-annotate --constraint locks/dev.txt --extra fuzz -o locks/fuzz.txt pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras \
		--generate-hashes --allow-unsafe --no-annotate --constraint locks/dev.txt --extra audit -o locks/audit.txt pyproject.toml

format: $(READY) ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean: ## remove everything that was built
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis var
