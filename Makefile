# What a person or a CI job types. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TRIVIUM_CACHE ?= $(HOME)/.cache/trivium
# One target directory outside the checkout: a fresh clone builds only what changed.
CARGO_TARGET_DIR ?= $(TRIVIUM_CACHE)/target
export TRIVIUM_CACHE CARGO_TARGET_DIR

PYTHON := $(TRIVIUM_CACHE)/venvs/demo/bin/python
TRIVIUM := $(CARGO_TARGET_DIR)/debug/trivium
CARGO := cargo
# The lock file is checked in: a build that would change it is a mistake. And always the whole
# workspace: a part alone would turn on other features of dependencies, and build them twice.
WHOLE := --locked --workspace
# Naming a test, the smallest one, counts the dev-dependencies in: else `make demo` and `make test`
# would each build their own DataFusion.
WITH_TEST_FEATURES := --test layers

.PHONY: help setup build demo test test-rust test-integration lint fmt bench bench-ann bench-embedded codegen \
	test-spark-parity-record test-stores clean-demo

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 26

setup: ## Install what is missing (Debian packages, toolchain parts, Python environment, data set).
	@scripts/setup

build: setup ## Build the trivium command.
	$(CARGO) build $(WHOLE) --bin trivium $(WITH_TEST_FEATURES)
	@scripts/link $(TRIVIUM)

demo: build ## Flights of 2013: validate, plan, apply, run, materialize, read back by REST and gRPC.
	@TRIVIUM=$(TRIVIUM) scripts/demo

test: setup test-rust test-integration ## All tests.

test-rust: setup
	@scripts/setup-stores
	$(CARGO) test $(WHOLE)

test-integration: build
	TRIVIUM=$(TRIVIUM) $(PYTHON) -m pytest -q integration

test-stores: setup ## The adapters of DynamoDB, Valkey and OpenSearch, against real servers, and the embedded index.
	@scripts/setup-stores
	$(CARGO) test --locked -p trivium-testkit -p trivium-store-dynamodb -p trivium-cache-valkey \
		-p trivium-index-opensearch -p trivium-index-embedded

lint: setup ## Formatting, clippy, generated files up to date, Python.
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(WHOLE) --all-targets -- -D warnings
	$(CARGO) build $(WHOLE) --bin xtask $(WITH_TEST_FEATURES)
	$(CARGO_TARGET_DIR)/debug/xtask codegen --check
	$(PYTHON) -m ruff check scripts integration
	$(PYTHON) -m ruff format --check scripts integration

fmt: ## Format everything.
	$(CARGO) fmt --all
	$(PYTHON) -m ruff format scripts integration

bench-ann: setup ## In-process nearest-neighbour libraries side by side (builds them all; not part of `bench`).
	cd bench/ann && $(CARGO) run --locked --release

bench: bench-embedded ## The short form of all benches.

bench-embedded: setup ## Reads, writes and materialization on the embedded store, beside their floors.
	$(CARGO) build --locked --release -p trivium-bench --bins
	$(CARGO_TARGET_DIR)/release/serving
	$(CARGO_TARGET_DIR)/release/materialize

codegen: ## Write what is generated: protobuf code, OpenAPI, JSON Schemas, docs tables.
	$(CARGO) build $(WHOLE) --bin xtask $(WITH_TEST_FEATURES)
	$(CARGO_TARGET_DIR)/debug/xtask codegen

test-spark-parity-record: ## Run real Spark over the parity cases and record its answers.
	scripts/spark-env
	$(TRIVIUM_CACHE)/venvs/spark/bin/python testdata/spark-parity/record.py

clean-demo: ## Forget what the demo made.
	rm -rf .trivium
