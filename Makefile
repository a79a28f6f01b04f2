# What people and CI run. `make` alone lists the targets.

CARGO ?= cargo
XNORFORGE = $(CARGO) run --release --quiet -p xnorforge --
# Seconds that each soak test may take.
XNORFORGE_SOAK_SECONDS ?= 600
# Profile of the soak tests; CI gives `dev`, which is built already.
SOAK_PROFILE ?= release

.DEFAULT_GOAL := help
.PHONY: help setup second-tools demo test lint deny bench area soak examples

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the outside tools that are missing (Yosys, Verilator, Icarus Verilog, nextpnr-ice40, OpenSTA)
	@scripts/setup

second-tools: ## install newer Verilator and Yosys, and nextpnr for ECP5, in .venv
	@scripts/setup --second-tools

demo: setup ## generate an array, simulate it and check it against its RTL
	$(XNORFORGE) demo

test: setup ## run all tests
	$(CARGO) test --workspace

lint: ## check format, lints, documentation and, where cargo-deny is installed, licences
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	else echo 'cargo-deny is not installed (cargo install cargo-deny --locked): licences not checked'; fi

deny: ## check licences, duplicates and sources of the dependencies
	$(CARGO) deny check --hide-inclusion-graph licenses bans sources

bench: ## run the benchmarks
	$(CARGO) bench --workspace

area: setup ## measure area with Yosys and write docs/area.md
	$(XNORFORGE) area --out docs/area.md

examples: second-tools ## recompute the integers of the examples' models with NumPy alone
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^numpy==[0-9.]*' examples/requirements-check.txt)"
	.venv/bin/python examples/check_models.py

soak: setup ## run the long randomized tests, XNORFORGE_SOAK_SECONDS each
	XNORFORGE_SOAK_SECONDS=$(XNORFORGE_SOAK_SECONDS) \
	$(CARGO) test --workspace --profile $(SOAK_PROFILE) -- --ignored soak_ --nocapture
