# `make run` and `make test` carry all set-up; the rest is for those who work on Tidewatch.
SHELL := /bin/bash
CARGO ?= cargo
# One profile (dev) serves run, test and demo; release is for bench and packages.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidewatch/target
export CARGO_INCREMENTAL ?= 0
export UI_REQUIRED ?= 1
endif
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
ARGS ?=

.PHONY: run test demo bench lint dev fetch clean-data

run: fetch ## build everything and watch this machine
	$(CARGO) build --locked -p tidewatch
	exec $(TARGET_DIR)/debug/tidewatch $(ARGS)

test: ## install what the tests need, then run all of them
	scripts/test-prerequisites.sh
	$(MAKE) --no-print-directory fetch
	scripts/run-tests.sh

demo: fetch ## the closed loop on loopback, at most 4 minutes
	scripts/need.sh haproxy
	$(CARGO) build --locked -p tidewatch -p demo -p demo-service
	$(TARGET_DIR)/debug/demo $(ARGS)

bench: fetch ## release build, benchmarks, the table of docs/benchmarks.md
	scripts/bench.sh

lint: ## format, clippy with warnings denied, import rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked -p tests --test it tidy::
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; else echo "cargo-deny is not installed: dependency advisories and licences were not checked"; fi

dev: ## the web UI with live reload against a running tidewatch (TIDEWATCH_URL, default http://127.0.0.1:9090)
	cd dashboards/ui && npm ci --no-audit --no-fund && npm run dev

fetch:
	@for try in 1 2 3; do $(CARGO) fetch --locked --quiet && exit 0; echo "cargo fetch failed, try $$try of 3" >&2; sleep 5; done; exit 1
