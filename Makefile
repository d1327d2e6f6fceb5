# Everything from a fresh clone on: `make demo`. Each target does first what it needs.
#
# Cargo alone works too, once `make setup` has run.

# What a target hands on to the command in its last line, as in ARGS="--set train.steps=100".
ARGS =
# Cells that a sweep of many kinds runs at one time.
JOBS = 2
# Recorded in results; one value for all targets, so that nothing is compiled twice.
export SYNTH_GIT_COMMIT := $(shell git describe --always --dirty --abbrev=40 2>/dev/null)

# Threads that wait sleep instead of spinning: tests run beside each other.
export OMP_WAIT_POLICY ?= PASSIVE

# The release profile everywhere: the C++ parts are compiled once. Cargo shares out the cores by
# itself, and make runs one target at a time: `make -j` changes nothing.
cargo = MAKEFLAGS= cargo
release = --release --locked
clippy = $(cargo) clippy --all-targets $(release)
synth = $(or $(CARGO_TARGET_DIR),target)/release/synth

.NOTPARALLEL:
.PHONY: help setup build data demo bench test test-gpu lint clean
.PHONY: ablate-demo ablate-kinds ablate-lm1b ablate-lm1b-small ablate-c4 ablate-c4-small
.PHONY: libtorch binary sources descriptions format checks

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'With CUDA=1 or CUDA=0: libtorch with or without CUDA, else as there is an NVIDIA driver.'
	@echo 'With ARGS="...": more arguments, as in make demo ARGS="--set train.steps=100".'

setup: libtorch ## Fetch libtorch, or check that of LIBTORCH or LIBTORCH_USE_PYTORCH

build: libtorch ## Compile target/release/synth
	$(cargo) build $(release) $(ARGS)

data: binary ## Prepare the demo's text, rust-sources
	$(synth) data fetch rust-sources $(ARGS)

demo: sources ## Train two kinds of attention on real text and compare them
	$(synth) ablate experiments/demo/sweep.toml $(ARGS)

ablate-demo: sources ## Train every kind of attention on the demo's text, two at one time (JOBS=N): minutes on two CPU cores
	$(synth) ablate experiments/demo/kinds.toml --jobs $(JOBS) $(ARGS)

ablate-kinds: binary ## Train every attention on Tiny Shakespeare (its text: see experiments/tinyshakespeare)
	$(synth) ablate experiments/tinyshakespeare/kinds.toml $(ARGS)

ablate-lm1b: binary ## Table 2's language models at full size: days on a GPU (its text: see experiments/lm1b)
	$(synth) ablate experiments/lm1b/table-2.toml $(ARGS)

ablate-lm1b-small: descriptions ## The same kinds on sentences of package descriptions, on two CPU cores
	$(synth) ablate experiments/lm1b/small.toml $(ARGS)

ablate-c4: binary ## The C4 table's kinds at full size: weeks on a GPU (its text: see experiments/c4)
	$(synth) ablate experiments/c4/kinds.toml $(ARGS)

ablate-c4-small: sources ## The same kinds on rust-sources, on two CPU cores
	$(synth) ablate experiments/c4/small.toml $(ARGS)

bench: binary ## Time training steps on this machine; ARGS="--help" lists what else
	$(synth) bench $(ARGS)

test: checks ## Lint, then run the tests
	$(cargo) test $(release) $(ARGS)

test-gpu: libtorch ## Run the tests that need an NVIDIA GPU
	SYNTH_TEST_GPU=1 $(cargo) test $(release) gpu_ $(ARGS)

lint: format ## Check the format, the documentation and clippy; warnings are errors
	$(clippy) $(ARGS) -- -D warnings

clean: ## Remove what set-up and cargo made; data/ and results/ stay
	rm -rf "$(or $(CARGO_TARGET_DIR),target)" libtorch
	@if head -n 1 .cargo/config.toml 2>/dev/null | grep -q 'scripts/setup.sh'; then rm .cargo/config.toml; fi

# What other targets need first, without their ARGS.
libtorch:
	@scripts/setup.sh

binary: libtorch
	$(cargo) build $(release)

sources: binary
	$(synth) data fetch rust-sources

descriptions: binary
	$(synth) data fetch debian-descriptions-en-de

format: libtorch
	$(cargo) fmt --check
	RUSTDOCFLAGS="-D warnings" $(cargo) doc --no-deps $(release)

checks: format
	$(clippy) -- -D warnings
