# `make demo` to try it, `make test` to trust it, `make help` for the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# One profile for everything but what is shipped and measured, so that dependencies are built once.
QUICK := --locked --profile quick
GATEWAY := $(TARGET)/quick/overspill
LOGS := $(TARGET)/logs

step = @printf '\n== %s\n' "$(1)"

.PHONY: help
help: ## What there is to make.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: ## Try it: three mock providers, one gateway, no key needed.
	@.ci/prerequisites build
	$(CARGO) build $(QUICK)
	@exec $(GATEWAY) demo

.PHONY: build
build: ## The binary to ship: target/release/overspill. Takes minutes.
	@.ci/prerequisites build
	$(CARGO) build --locked --release

.PHONY: fmt
fmt: ## Format the source.
	@.ci/prerequisites rust
	$(CARGO) fmt

.PHONY: test
test: ## Everything that must hold: format, lints, tests, examples, licences, official SDKs.
	$(call step,prerequisites)
	@.ci/prerequisites build rust clients databases
	$(call step,format)
	$(CARGO) fmt --check
	@$(MAKE) lint unit conf deny clients
	@cat $(LOGS)/unit.log $(LOGS)/clients.log | .ci/tally

.PHONY: bench
bench: ## Criterion benches, then the gateway end to end beside others. Takes long.
	@.ci/prerequisites build
	$(call step,criterion)
	$(CARGO) bench --locked --bench scan --bench splice --bench sse --bench stream --bench plan --bench admission --bench measure --bench metering
	$(call step,end to end)
	$(CARGO) bench --locked --bench load

.PHONY: store-bench
store-bench: ## A million records into SQLite, and the last day's usage out of it.
	@.ci/prerequisites build
	$(call step,store)
	$(CARGO) bench $(QUICK) --bench store

.PHONY: sixteen
sixteen: ## Sixteen failover scenarios at full scale, and a scorecard. Takes two minutes.
	@.ci/prerequisites build
	$(call step,sixteen scenarios)
	@SIXTEEN=full $(CARGO) test $(QUICK) --test it sixteen::scorecard -- --exact --ignored --nocapture

.PHONY: soak
soak: ## Ten thousand streams with faults and aborts; nothing may be left of them.
	@.ci/prerequisites build
	$(call step,soak)
	@SOAK_STREAMS=10000 $(CARGO) test $(QUICK) --test it soak::nothing_is_left_behind -- --exact --nocapture

.PHONY: lint
lint: ## Clippy over all targets, warnings refused.
	$(call step,clippy)
	$(CARGO) clippy $(QUICK) --all-targets -- -D warnings

.PHONY: unit
unit: ## Unit and integration tests.
	$(call step,unit and integration tests)
	@mkdir -p $(LOGS)
	$(CARGO) test $(QUICK) --no-fail-fast 2>&1 | tee $(LOGS)/unit.log

.PHONY: conf
conf: ## Check every example in conf/ and README.md.
	$(call step,examples)
	$(CARGO) build $(QUICK)
	@.ci/conf $(GATEWAY)

.PHONY: deny
deny: ## Bans, licences and sources of all dependencies.
	$(call step,cargo deny)
	@.ci/deny

.PHONY: clients
clients: ## The official OpenAI SDKs for Python and Node against the gateway.
	$(call step,official SDKs)
	@mkdir -p $(LOGS)
	$(CARGO) build $(QUICK)
	@OVERSPILL_BIN=$(abspath $(GATEWAY)) tests/clients/run.sh 2>&1 | tee $(LOGS)/clients.log
