# What people and CI run. `make` alone lists the targets.

CARGO ?= cargo
XNORFORGE = $(CARGO) run --release --quiet -p xnorforge --
# Seconds that each soak test may take.
XNORFORGE_SOAK_SECONDS ?= 600
# Profile of the soak tests; CI gives `dev`, which is built already.
SOAK_PROFILE ?= release
# Profile of the command that a second opinion is asked of; CI gives `dev`, which is built already.
OPINION_PROFILE ?= release
OPINION_PROGRAM = target/$(subst dev,debug,$(OPINION_PROFILE))/xnorforge
# Random networks of each kind.
OPINION_NETWORKS ?= 60
# Standard cells that `make area` maps to, where they are installed.
LIBERTY ?= /usr/share/qflow/tech/osu018/osu018_stdcells.lib

.DEFAULT_GOAL := help
.PHONY: help setup second-tools demo test lint deny bench bench-page area table calibrate soak examples second-opinion second-opinion-qonnx

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the outside tools that are missing (Yosys, Verilator, Icarus Verilog, nextpnr-ice40, OpenSTA)
	@scripts/setup

second-tools: ## install newer Verilator and Yosys, and nextpnr for ECP5, in .venv
	@scripts/setup --second-tools

demo: setup ## generate an array, simulate it and check it against its RTL
	$(XNORFORGE) demo

test: setup ## run all tests
	$(CARGO) test --workspace --no-fail-fast

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

bench-page: setup ## measure packed products, simulation and start-up side by side and write docs/benchmarks.md
	$(CARGO) build --release --quiet -p xnorforge
	$(CARGO) bench -p xnorforge-sim --bench page -- --out $(CURDIR)/docs/benchmarks.md --command $(CURDIR)/target/release/xnorforge

area: setup ## measure area with Yosys and write docs/area.md
	$(XNORFORGE) area --out docs/area.md $(if $(wildcard $(LIBERTY)),--liberty $(LIBERTY))

table: setup ## measure the presets alone and print their table
	$(XNORFORGE) area --presets $(if $(wildcard $(LIBERTY)),--liberty $(LIBERTY))

calibrate: setup ## measure the samples that the models of area are fitted to (gen/data; hours)
	for target in xilinx ecp5 ice40; do $(XNORFORGE) calibrate --target $$target --out gen/data/$$target.json --minutes 600 || exit; done
	$(XNORFORGE) calibrate --target asic --liberty $(LIBERTY) --out gen/data/asic.json --minutes 600

examples: second-tools ## recompute the integers of the examples' models with NumPy alone
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^numpy==[0-9.]*' examples/requirements-check.txt)"
	.venv/bin/python examples/check_models.py

second-opinion: second-tools ## hold encodings, products and random networks to NumPy alone
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^numpy==[0-9.]*' examples/requirements-check.txt)"
	$(CARGO) build --quiet --profile $(OPINION_PROFILE) -p xnorforge
	.venv/bin/python testbenches/second_opinion/numpy_opinion.py $(OPINION_PROGRAM) --networks $(OPINION_NETWORKS)

second-opinion-qonnx: ## hold every tensor of the QONNX files to QONNX's own executor (60 MB from PyPI; not in CI)
	python3 -m venv target/qonnx
	target/qonnx/bin/python -m pip install --quiet --disable-pip-version-check -r testbenches/second_opinion/requirements-qonnx.txt
	$(CARGO) build --quiet --profile $(OPINION_PROFILE) -p xnorforge
	target/qonnx/bin/python -W ignore testbenches/second_opinion/qonnx_opinion.py $(OPINION_PROGRAM)

soak: setup ## run the long randomized tests, XNORFORGE_SOAK_SECONDS each
	XNORFORGE_SOAK_SECONDS=$(XNORFORGE_SOAK_SECONDS) \
	$(CARGO) test --workspace --profile $(SOAK_PROFILE) -- --ignored soak_ --nocapture
