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

# $(call prepared,NAME,COMMAND,FOLDER): ends, with the command that prepares it, where the set NAME is missing; not asked
# for where ARGS name other data.
prepared = $(if $(findstring data.,$(ARGS)),,@test -f "$${SYNTH_DATA:-data}/$(1)/card.json" || { \
	printf '%s\n' 'The set $(1) is not prepared. What does it (experiments/$(3)/README.md says where the files are):' \
	'  $(synth) data $(2)' >&2; exit 2; })

.NOTPARALLEL:
.PHONY: help setup build data demo bench test test-gpu lint clean
.PHONY: ablate-demo ablate-kinds ablate-lm1b ablate-lm1b-small ablate-c4 ablate-c4-small
.PHONY: ablate-wmt14-en-de ablate-wmt14-en-fr ablate-multi30k-en-de ablate-multi30k-en-fr
.PHONY: ablate-descriptions-en-de ablate-descriptions-en-fr ablate-descriptions-titles
.PHONY: ablate-cnn-dailymail ablate-scitldr ablate-personachat ablate-convai2
.PHONY: libtorch binary sources descriptions descriptions-en-fr descriptions-summaries format checks

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-26s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
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

ablate-wmt14-en-de: binary ## Table 2's translations to German at full size, on a GPU (its text: see experiments/wmt14)
	$(call prepared,wmt14-de-en,fetch wmt14-de-en,wmt14)
	$(synth) ablate experiments/wmt14/table-2-en-de.toml $(ARGS)

ablate-wmt14-en-fr: binary ## The same to French
	$(call prepared,wmt14-fr-en,fetch wmt14-fr-en,wmt14)
	$(synth) ablate experiments/wmt14/table-2-en-fr.toml $(ARGS)

ablate-multi30k-en-de: binary ## Table 2's kinds on captions, to German, on two CPU cores (its text: see experiments/multi30k)
	$(call prepared,multi30k-en-de,import multi30k-en-de multi30k/ --source en --target de,multi30k)
	$(synth) ablate experiments/multi30k/en-de.toml --jobs $(JOBS) $(ARGS)

ablate-multi30k-en-fr: binary ## The same to French
	$(call prepared,multi30k-en-fr,import multi30k-en-fr multi30k/ --source en --target fr,multi30k)
	$(synth) ablate experiments/multi30k/en-fr.toml --jobs $(JOBS) $(ARGS)

ablate-descriptions-en-de: descriptions ## Table 2's kinds on package descriptions, to German, on two CPU cores
	$(synth) ablate experiments/debian-descriptions/en-de.toml --jobs $(JOBS) $(ARGS)

ablate-descriptions-en-fr: descriptions-en-fr ## The same to French
	$(synth) ablate experiments/debian-descriptions/en-fr.toml --jobs $(JOBS) $(ARGS)

ablate-cnn-dailymail: binary ## Table 3's summaries at full size, on a GPU (its text: see experiments/cnn-dailymail)
	$(call prepared,cnn-dailymail,fetch cnn-dailymail,cnn-dailymail)
	$(synth) ablate experiments/cnn-dailymail/table-3.toml $(ARGS)

ablate-descriptions-titles: descriptions-summaries ## Table 3's kinds on package descriptions and their titles, on two CPU cores
	$(synth) ablate experiments/debian-descriptions/titles.toml --jobs $(JOBS) $(ARGS)

ablate-scitldr: binary ## The same on abstracts of papers (its text: see experiments/scitldr)
	$(call prepared,scitldr,import scitldr SciTLDR-A/,scitldr)
	$(synth) ablate experiments/scitldr/small.toml --jobs $(JOBS) $(ARGS)

ablate-personachat: binary ## Table 3's dialogues at full size, on a GPU (its text: see experiments/personachat)
	$(call prepared,personachat,fetch personachat,personachat)
	$(synth) ablate experiments/personachat/table-3.toml $(ARGS)

ablate-convai2: binary ## The same kinds on a part of such dialogues, on two CPU cores (its text: see experiments/convai2)
	$(call prepared,convai2,import convai2 train=valid.json validation=test.json,convai2)
	$(synth) ablate experiments/convai2/small.toml --jobs $(JOBS) $(ARGS)

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

descriptions-en-fr: binary
	$(synth) data fetch debian-descriptions-en-fr

descriptions-summaries: binary
	$(synth) data fetch debian-descriptions-summaries

format: libtorch
	$(cargo) fmt --check
	RUSTDOCFLAGS="-D warnings" $(cargo) doc --no-deps $(release)

checks: format
	$(clippy) -- -D warnings
