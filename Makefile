# What people and CI run. `make` alone lists the targets.

CARGO ?= cargo
XNORFORGE = $(CARGO) run --release --quiet -p xnorforge --
# Seconds that each soak test may take.
XNORFORGE_SOAK_SECONDS ?= 600
# Profile of the soak tests; CI gives `dev`, which is built already.
SOAK_PROFILE ?= release
SOAK_PROGRAM = target/$(subst dev,debug,$(SOAK_PROFILE))/xnorforge
# Minutes and seed of `make soak-command`.
SOAK_MINUTES ?= 30
SOAK_SEED ?= 7
# Profile of the command that a second opinion is asked of; CI gives `dev`, which is built already.
OPINION_PROFILE ?= release
OPINION_PROGRAM = target/$(subst dev,debug,$(OPINION_PROFILE))/xnorforge
# Random networks of each kind.
OPINION_NETWORKS ?= 60
# Where `make formal` writes its table.
FORMAL_OUT ?= docs/formal.md
# Standard cells that `make area` maps to, where they are installed.
LIBERTY ?= /usr/share/qflow/tech/osu018/osu018_stdcells.lib

.DEFAULT_GOAL := help
.PHONY: help soak-gates setup second-tools demo test formal lint deny bench bench-page area soak soak-command examples second-opinion second-opinion-qonnx mutate mutate-bounded mutate-rust cargo-mutants table calibrate

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the outside tools that are missing (Yosys, Verilator, Icarus Verilog, nextpnr-ice40, OpenSTA, Z3)
	@scripts/setup

second-tools: ## install newer Verilator, Yosys and nextpnr for iCE40, and nextpnr for ECP5, in .venv
	@scripts/setup --second-tools

demo: setup ## generate an array, simulate it and check it against its RTL
	$(XNORFORGE) demo

test: setup ## run all tests
	$(CARGO) test --workspace --no-fail-fast

formal: setup ## prove properties of the emitted Verilog and write docs/formal.md
	XNORFORGE_FORMAL_OUT=$(abspath $(FORMAL_OUT)) $(CARGO) test --workspace --test formal -- --ignored formal_ --nocapture

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

calibrate: setup second-tools ## measure the samples that the models of area and clock are fitted to (gen/data; 10 to 40 minutes a target)
	$(XNORFORGE) calibrate --target xilinx --out gen/data/xilinx.json --minutes 600
	for target in ecp5 ice40; do $(XNORFORGE) calibrate --target $$target --clocks --out gen/data/$$target.json --minutes 600 || exit; done
	$(XNORFORGE) calibrate --target asic --clocks --liberty $(LIBERTY) --out gen/data/asic.json --minutes 600

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

soak-command: setup ## step random designs beside the model for SOAK_MINUTES, from SOAK_SEED (xnorforge soak)
	$(CARGO) build --quiet --profile $(SOAK_PROFILE) -p xnorforge
	$(SOAK_PROGRAM) soak --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED) --out target/soak-failures
# Faults that `make mutate` and `make mutate-rust` draw.
FAULTS ?= 320
RUST_FAULTS ?= 240
MUTATE_FLAGS ?= --page docs/mutation.md --jobs 2
# Built as the tests are, so that nothing is built twice.
MUTATE = $(CARGO) build --quiet --workspace --bins && target/debug/xnorforge-mutate
# The arithmetic: files whose faults the tests without outside tools must find.
RUST_FILES = $(addprefix hdl/src/,config.rs schedule.rs fabric/schedule.rs timing.rs popcount.rs accelerator/config.rs \
    fabric/netlist.rs structure/units.rs) \
    $(addprefix sim/src/,encoder.rs packed.rs multiply/operands.rs multiply/product.rs multiply/panel.rs multiply/tile.rs \
    model.rs model/accumulators.rs model/drain.rs model/operands.rs kernel.rs lower.rs cycles.rs program/requantize.rs)
RUST_TESTS = $(addprefix xnorforge-,sim:lib sim:encoder sim:lowering sim:multiply hdl:lib hdl:config hdl:golden hdl:units sim:execute \
    sim:program sim:model)

mutate: setup ## put faults into the emitted RTL, run the tests on each and write docs/mutation.md (half an hour)
	$(MUTATE) --faults $(FAULTS) --seed 1 $(MUTATE_FLAGS)

mutate-bounded: setup ## the same with 24 faults of a few modules and one test
	$(MUTATE) --faults 24 --seed 1 --work target/mutate-bounded --tests 'patches tiny' \
	    --unit loader,pixel_walker,pool_unit,patch_system,slice_memory,slice_rotator,plane_store,plane_maximum,row_order

mutate-rust: ## put faults into the arithmetic of hdl and sim, all in one build, and run the tests on each
	$(MUTATE)-rust --faults $(RUST_FAULTS) --seed 1 \
	    --files $(RUST_FILES) --tests $(RUST_TESTS)

cargo-mutants: ## the same files by cargo-mutants, a build for each fault: hours (cargo install cargo-mutants --locked)
	$(CARGO) mutants --shard 1/8 --sharding round-robin $(addprefix --file ,$(RUST_FILES)) \
	    --test-package xnorforge-hdl,xnorforge-sim -- --lib --test encoder --test lowering --test multiply --test golden \
	    --test units --test execute --test program --test model

soak-gates: setup ## play a network on the gates of accelerators for every target, from unknown and random contents (an hour or more)
	$(CARGO) test -p xnorforge --test gates -- --ignored long_ --nocapture

soak: setup ## run the long randomized tests, XNORFORGE_SOAK_SECONDS each
	XNORFORGE_SOAK_SECONDS=$(XNORFORGE_SOAK_SECONDS) \
	$(CARGO) test --workspace --profile $(SOAK_PROFILE) -- --ignored soak_ --nocapture
