# SPDX-License-Identifier: Apache-2.0
#
# What people type. Meson and cargo do the work, in build/; `make help` says what there is.

BUILD := build
NATIVE := $(abspath $(BUILD))/native
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30
PEER_VERSION := 48.0.8
# Debian's own, the one that tools/setup gives pytest to.
PYTHON ?= /usr/bin/python3
MESON_SETUP = meson setup --wrap-mode=nofallback
# Before the rest: the Rust of the tests' guests, Debian's, is too old for the library.
export PATH := $(HOME)/.cargo/bin:$(PATH)

all: configured ## build berth, libberth.so and berth-compiler in build/, usable in place
	ninja -C $(BUILD) -j $(JOBS)

configured:
	@command -v meson ninja >/dev/null || { echo "Meson and Ninja are needed: tools/setup build installs them" >&2; exit 1; }
	@test -e $(BUILD)/build.ninja || $(MESON_SETUP) $(if $(PREFIX),--prefix=$(PREFIX)) $(BUILD)

demo: ## do all set-up, then run a visiting filter on a log of this machine
	@tools/setup demo
	@tools/demo

test: ## do all set-up, then run every test
	@tools/setup build test
	$(MAKE) all
	$(PYTHON) tools/run_tests $(BUILD)

sanitize: all ## unit and embedding tests with everything except the engine under ASan and UBSan
	$(PYTHON) tools/run_tests $(BUILD) sanitize

fuzz: ## run each fuzz target for FUZZ_SECONDS (30)
	@tools/setup test
	tools/fuzz $(BUILD) $(FUZZ_SECONDS)

bench: all bench-peers ## measure against public alternatives in the same run; BENCH_SCALE=0.1 is quick
	$(PYTHON) bench/run $(BUILD)

soak: all ## visits of all kinds for SOAK_SECONDS (600); fails if memory, descriptors or processes grow
	$(PYTHON) bench/soak $(BUILD)

bench-peers: ## build the peer that `make bench` compares with, once, about 10 minutes: the wasmtime CLI
	@test -x $(BUILD)/bench/wasmtime/bin/wasmtime || { echo "building wasmtime-cli $(PEER_VERSION), once"; \
	cargo install wasmtime-cli --version $(PEER_VERSION) --locked --quiet --root $(BUILD)/bench/wasmtime; } || \
	echo "wasmtime-cli cannot be built here; rows that compare with it will say so" >&2

lint: all ## check format, clang-tidy, cargo fmt and clippy, includes, scripts
	@tools/setup lint
	tools/lint $(BUILD)

wasi-suite: all ## run a checkout of WebAssembly/wasi-testsuite: make wasi-suite SUITE=DIR
	@test -n "$(SUITE)" || { echo "usage: make wasi-suite SUITE=DIR (a checkout of WebAssembly/wasi-testsuite)" >&2; exit 64; }
	tests/wasi_suite/run "$(SUITE)"

interop: all ## clients of others visit a node: grpcio, Go, grpcurl, h2spec, the LIOP SDK; says which are not here
	$(PYTHON) -m pytest -q -rs -p no:cacheprovider tests/node/test_interop_*.py tests/node/test_node_visits.py \
		tests/node/test_serve_probes.py tests/node/test_*_callers.py

install: configured ## install berth, libberth, headers, manual; PREFIX (/usr/local), DESTDIR
	$(if $(PREFIX),meson configure $(BUILD) --prefix=$(PREFIX))
	ninja -C $(BUILD) -j $(JOBS)
	meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

clean: ## remove what was built, except the Rust libraries
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name native ! -name bench -exec rm -rf {} +

distclean: ## remove all of build/
	rm -rf $(BUILD)

help: ## this
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: all configured demo test sanitize fuzz bench soak bench-peers lint wasi-suite interop install clean distclean help
