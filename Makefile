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
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 120
# Left out: from the clock; printed.
CHAOS_SEED ?=
# Nodes that break the protocol, to see that it is found: fences, entities, tombstones, bounds.
CHAOS_SPOILT ?=
ERASURE_PERSONS ?= 10000
STREAM_EVENTS ?= 2000000
STREAM_KILLS ?= 60
WINDOW_KILLS ?= 200
# Of windows against DuckDB, where each kill moves partitions, which takes seconds.
WINDOW_EVENTS ?= 120000
WINDOW_WORKER_KILLS ?= 40
KINESIS_EVENTS ?= 40000
# The lock file is checked in: a build that would change it is a mistake. And always the whole
# workspace: a part alone would turn on other features of dependencies, and build them twice.
WHOLE := --locked --workspace
# Naming a test, the smallest one, counts the dev-dependencies in: else `make demo` and `make test`
# would each build their own DataFusion.
WITH_TEST_FEATURES := --test layers
# What the integration tests run.
BUILD_TESTED = $(CARGO) build $(WHOLE) --bin trivium --bin trivium-daggen --bin trivium-serving \
	--bin trivium-ingest $(WITH_TEST_FEATURES)

.PHONY: help setup build demo test fuzz test-rust test-integration run-rust-tests run-integration-tests model chaos erasure lint fmt bench bench-ann \
	bench-embedded bench-online-write bench-serving bench-stream bench-memory bench-generation flamegraph codegen \
	test-spark-parity-record test-stores test-airflow test-stream demo-batch demo-stream clean-demo

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 26

setup: ## Install what is missing (Debian packages, toolchain parts, Python environment, data set).
	@scripts/setup

build: setup ## Build the trivium and trivium-daggen commands.
	$(CARGO) build $(WHOLE) --bin trivium --bin trivium-daggen $(WITH_TEST_FEATURES)
	@scripts/link $(TRIVIUM)

demo: build ## Flights of 2013: validate, plan, apply, run, materialize, read back by REST and gRPC.
	@TRIVIUM=$(TRIVIUM) scripts/demo

demo-batch: build ## The flights' DAGs in an Airflow to look at, run for three dates on Spark; until Ctrl-C.
	@scripts/airflow-env live
	@TRIVIUM=$(TRIVIUM) $(PYTHON) scripts/demo-batch.py $(DEMO_BATCH_ARGS)

# DEMO_STREAM_ARGS="--day 2013-02-08 --speed 1200 --minutes 2"
demo-stream: build ## Flights of 2013 as a stream: what is online of airports and planes, as it changes; until Ctrl-C.
	@scripts/setup-stores
	$(CARGO) build $(WHOLE) --bin trivium-ingest $(WITH_TEST_FEATURES)
	@TRIVIUM=$(TRIVIUM) $(PYTHON) scripts/demo-stream.py $(DEMO_STREAM_ARGS)

# Both halves wait for servers more than they compute, so they run beside each other.
test: setup ## All tests.
	@scripts/setup-stores
	@scripts/flink-env
	@scripts/amundsen-env
	@scripts/airflow-env
	$(CARGO) test $(WHOLE) --no-run
	$(BUILD_TESTED)
	+@$(MAKE) --no-print-directory -j2 run-rust-tests run-integration-tests

test-rust: setup
	@scripts/setup-stores
	@scripts/flink-env
	@$(MAKE) --no-print-directory run-rust-tests

run-rust-tests:
	$(CARGO) test $(WHOLE)

test-integration: build
	@scripts/setup-stores
	@scripts/amundsen-env
	@scripts/airflow-env
	@scripts/flink-env
	$(BUILD_TESTED)
	@$(MAKE) --no-print-directory run-integration-tests

run-integration-tests:
	TRIVIUM=$(TRIVIUM) $(PYTHON) -m pytest -q --durations=20 integration

test-stores: setup ## The adapters of DynamoDB, Valkey and OpenSearch, and serving nodes, against real servers.
	@scripts/setup-stores
	$(CARGO) test --locked -p trivium-testkit -p trivium-store-dynamodb -p trivium-cache-valkey \
		-p trivium-index-opensearch -p trivium-index-embedded -p trivium-coherence -p trivium-serving-node

# Some minutes and 4 GB; a package by itself, since the model needs next to nothing of the others.
model: setup ## Explore the model of the cache protocol in full, and every guard taken out.
	$(CARGO) build --locked --release -p trivium-coherence --example explore
	$(CARGO_TARGET_DIR)/release/examples/explore

# The short form is a part of `make test`.
chaos: setup ## Serving nodes under faults, CHAOS_SECONDS (120), CHAOS_SEED: is every row linearizable?
	@scripts/setup-stores
	$(CARGO) build $(WHOLE) --bin chaos --bin chaos-node $(WITH_TEST_FEATURES)
	$(CARGO_TARGET_DIR)/debug/chaos --seconds $(CHAOS_SECONDS) \
		$(if $(CHAOS_SPOILT),--spoilt $(CHAOS_SPOILT)) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

# The short form, of 400 persons, is a part of `make test`.
erasure: setup ## Persons erased in real stores by nodes that are killed, ERASURE_PERSONS (10000): is anything left?
	@scripts/setup-stores
	TRIVIUM_ERASURE_PERSONS=$(ERASURE_PERSONS) $(CARGO) test $(WHOLE) --test nodes -- --nocapture erasing_many

# The short form, of one view, is a part of `make test`.
test-airflow: build ## The batch lane in a real Airflow, on a real Spark: every view, every task killed, a backfill.
	@scripts/airflow-env live
	TRIVIUM=$(TRIVIUM) $(PYTHON) -m pytest -q -s integration/test_batch_lane.py \
		integration/whole_batch_lane.py integration/whole_scheduler.py

# The short form, of 200,000 events and 20 kills, is a part of `make test`.
test-stream: build ## The stream lane: STREAM_EVENTS (2000000), STREAM_KILLS (60); windows: WINDOW_KILLS (200), WINDOW_EVENTS; KINESIS_EVENTS.
	@scripts/setup-stores
	$(CARGO) build $(WHOLE) --bin trivium-ingest $(WITH_TEST_FEATURES)
	TRIVIUM=$(TRIVIUM) TRIVIUM_STREAM_EVENTS=$(STREAM_EVENTS) TRIVIUM_STREAM_KILLS=$(STREAM_KILLS) \
		$(PYTHON) -m pytest -q -s integration/test_stream.py integration/test_dead_letters.py
	TRIVIUM=$(TRIVIUM) TRIVIUM_WINDOWS_EVENTS=$(WINDOW_EVENTS) TRIVIUM_WINDOWS_KILLS=$(WINDOW_WORKER_KILLS) \
		TRIVIUM_KINESIS_EVENTS=$(KINESIS_EVENTS) \
		$(PYTHON) -m pytest -q -s integration/test_stream_windows.py integration/test_kinesis.py
	TRIVIUM_TEST_KILLS=$(WINDOW_KILLS) $(CARGO) test $(WHOLE) --test killed --test windows --test streams

lint: setup ## Formatting, clippy, generated files up to date, Python.
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(WHOLE) --all-targets -- -D warnings
	$(CARGO) build $(WHOLE) --bin xtask $(WITH_TEST_FEATURES)
	$(CARGO_TARGET_DIR)/debug/xtask codegen --check
	$(PYTHON) -m ruff check scripts integration bench sdks dags
	$(PYTHON) -m ruff format --check scripts integration bench sdks dags

fmt: ## Format everything.
	$(CARGO) fmt --all
	$(PYTHON) -m ruff format scripts integration bench sdks

bench-ann: setup ## In-process nearest-neighbour libraries side by side (builds them all; not part of `bench`).
	cd bench/ann && $(CARGO) run --locked --release

bench: bench-embedded ## The bench that needs no server; bench/README.md has the others.

bench-embedded: setup ## Reads, writes and materialization on the embedded store, beside their floors.
	$(CARGO) build --locked --release -p trivium-bench --bins
	$(CARGO_TARGET_DIR)/release/serving
	$(CARGO_TARGET_DIR)/release/materialize

# Feast takes minutes; ONLINE_WRITE_ARGS="--only dynamodb" leaves it out.
bench-online-write: setup ## Loading rows online, beside `feast materialize` into SQLite and bare UpdateItems.
	@scripts/setup-stores
	$(CARGO) build --locked --release -p trivium-bench-online-write -p trivium-cli -p trivium-serving-node \
		--bin bench-online-write --bin trivium --bin trivium-serving
	@scripts/bench-env
	$(CARGO_TARGET_DIR)/release/bench-online-write --feast $(TRIVIUM_CACHE)/venvs/feast/bin/python $(ONLINE_WRITE_ARGS)

bench-stream: setup ## Events of Kafka to rows: how many beside a consumer that only counts and Feast's push, how fresh.
	@scripts/setup-stores
	$(CARGO) build --locked --release -p trivium-cli -p trivium-ingest-node -p trivium-bench-stream \
		-p trivium-serving-node --bin trivium --bin trivium-ingest --bin trivium-serving --bin count-only \
		--bin stream-load
	@scripts/bench-env
	TRIVIUM=$(CARGO_TARGET_DIR)/release/trivium $(PYTHON) bench/stream/stream.py \
		--count-only $(CARGO_TARGET_DIR)/release/count-only --load $(CARGO_TARGET_DIR)/release/stream-load \
		--feast $(TRIVIUM_CACHE)/venvs/feast/bin/python $(STREAM_BENCH_ARGS)

SERVING_BENCH := $(CARGO_TARGET_DIR)/release/bench-serving
BUILD_SERVING_BENCH = scripts/setup-stores && $(CARGO) build --locked --release \
	-p trivium-bench-serving -p trivium-serving-node --bins

bench-serving: setup ## Reads of a serving node behind Valkey, beside MGET of the same rows, and Feast.
	@$(BUILD_SERVING_BENCH)
	@scripts/bench-env
	$(SERVING_BENCH) --feast $(TRIVIUM_CACHE)/venvs/feast/bin/python

CASE ?= batchget 100x50 c8 connect
flamegraph: setup ## Where a serving node's CPU goes in one CASE of `bench-serving`, as a picture; needs perf.
	@$(BUILD_SERVING_BENCH)
	CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) scripts/flamegraph "$(CASE)" "bench/out/$(subst $() ,-,$(CASE)).svg"

bench-memory: setup ## What a serving node holds: 10,000 definitions, a million requests.
	@$(BUILD_SERVING_BENCH)
	$(SERVING_BENCH) --rows 20000 --memory-requests 1000000

bench-generation: setup ## What generating 10,000 DAGs costs, and one change of them.
	$(CARGO) build --locked --release -p trivium-daggen --bins
	$(PYTHON) bench/generation.py --daggen $(CARGO_TARGET_DIR)/release/trivium-daggen

fuzz: setup ## Look for bytes that rows and messages cannot be read from: FUZZ_SECONDS (60) of libFuzzer a target.
	@scripts/fuzz $(FUZZ_SECONDS)

# Documents are generated by the tests that hold them, all named alike.
codegen: ## Write what is generated: protobuf code, OpenAPI, JSON Schemas, tables in docs/.
	$(CARGO) build $(WHOLE) --bin xtask $(WITH_TEST_FEATURES)
	$(CARGO_TARGET_DIR)/debug/xtask codegen
	PYTHON=$(PYTHON) sdks/python/generate
	UPDATE_EXPECT=1 $(CARGO) test $(WHOLE) --quiet up_to_date

test-spark-parity-record: ## Run real Spark over the parity cases and record its answers.
	scripts/spark-env
	$(TRIVIUM_CACHE)/venvs/spark/bin/python testdata/spark-parity/record.py

clean-demo: ## Forget what the demo made.
	rm -rf .trivium
