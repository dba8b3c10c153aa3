# The index of commands. `make demo` and `make test` do all their set-up on a fresh Debian 12 machine (root, a Rust toolchain).
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

.PHONY: help demo test lint unit e2e bench build schema clean

help:           ## this list
	@grep -E '^[a-z0-9]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t16

build:          ## the release binary: target/release/piecework
	@scripts/setup build
	$(CARGO) build --release --locked --bin piecework

# The demo takes the development build: two minutes on two cores instead of seven.
demo:           ## the seed's pi Job, from manifest to 2000 places, then everything removed
	@scripts/setup build run
	$(CARGO) build --locked --bin piecework
	scripts/demo target/debug/piecework

test:           ## everything that CI runs
	@scripts/setup build run test
	scripts/test

lint:           ## rustfmt and clippy, as `make test` runs them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

unit:           ## only the crates' own tests
	$(CARGO) test --workspace --lib --bins --locked

e2e:            ## only the tests with real kubectl and real containers
	@scripts/setup build run test
	$(CARGO) test --locked --test '*'

bench:          ## the measurements of benches/: a table, and JSON in target/bench
	@scripts/setup build run bench
	$(CARGO) bench --locked --bench spine

schema:         ## regenerate crates/api/schema from published data (see NOTICE)
	scripts/schema
