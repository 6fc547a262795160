# Everything runs from a checkout without activating anything. Environment: PYTHON=python3.12 picks the interpreter,
# TESTS="tests/test_x.py -k word" what pytest runs, COMPARE="--threads 1 2" what bench-compare does, CXX the compiler,
# FUZZ=json RUNS=5000000 MAX_SECONDS=600 what is fuzzed and for how long, KILLS=1000 how often `soak` kills.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
BUILD ?= build
TESTS ?=
COMPARE ?=
FUZZ ?=
RUNS ?= 1000000
MAX_SECONDS ?= 0
KILLS ?= 200
# Tracked files; in an unpacked source distribution, which has no git, all of them.
tracked = $(wildcard $(shell git ls-files $(1) 2>/dev/null || true))
python_files = $(or $(call tracked,'*.py'),python tests benches $(wildcard examples scripts datasets))
cpp_files = $(or $(call tracked,'*.cpp' '*.h'),$(shell find csrc examples -name '*.cpp' -o -name '*.h' 2>/dev/null))

.PHONY: help train test dev bench bench-peers bench-compare lint lint-python lint-types lint-cpp format stubs check-stubs check-isa \
        asan tsan fuzz neon soak clean

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | while IFS=$$'\t' read -r verb what; do \
	  printf 'make %-13s %s\n' "$$verb" "$$what"; done

train: ## install into .venv and train the MNIST network
	@scripts/setup
	$(BIN)/fastnn train mnist-cnn

# One process a core: most tests compute too little for a second thread. Few, for those that do use every core.
test: ## install into .venv and run the tests (TESTS= picks some)
	@scripts/setup test
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 $(TESTS)

dev: ## install into .venv in editable form, with the linters
	@scripts/setup dev

bench: ## time the kernels and models
	@scripts/setup test
	$(BIN)/python -m pytest $(or $(TESTS),benches) --benchmark-enable --benchmark-only --timeout=0

bench-peers: ## time them beside other libraries, installed into .venv-peers (gigabytes)
	@scripts/peers
	.venv-peers/bin/python -m pytest $(or $(TESTS),benches) --benchmark-enable --benchmark-only --timeout=0

bench-compare: ## train and infer with fastnn and with each peer, in turns: table, picture, JSON (COMPARE= are its options)
	@scripts/peers
	.venv-peers/bin/python -m benches.compare $(COMPARE)

lint: lint-python lint-types lint-cpp ## check style and types

lint-python:
	@scripts/setup lint
	$(BIN)/ruff check --force-exclude $(python_files)
	$(BIN)/ruff format --check --force-exclude $(python_files)

lint-types:
	@scripts/setup lint
	$(BIN)/mypy --strict

lint-cpp:
	@scripts/setup lint
	$(BIN)/clang-format --dry-run -Werror $(cpp_files)

format: ## rewrite the sources in the project's style
	@scripts/setup lint
	$(BIN)/ruff check --fix --force-exclude $(python_files) || true
	$(BIN)/ruff format --force-exclude $(python_files)
	$(BIN)/clang-format -i $(cpp_files)

stubs: ## write python/fastnn/_core.pyi from the compiled module
	@scripts/setup lint
	scripts/stubs

check-stubs: ## compare python/fastnn/_core.pyi with the compiled module
	@scripts/setup lint
	scripts/stubs check

check-isa: ## check that no code for a newer processor can replace code for every processor
	scripts/check-isa $(BUILD)

asan: ## run the tests under the address and undefined-behaviour sanitizers (TESTS= picks some)
	scripts/sanitize address $(TESTS)

tsan: ## run the tests under the thread sanitizer (TESTS= picks some)
	scripts/sanitize thread $(TESTS)

fuzz: ## feed invented files to whatever reads files, under sanitizers (FUZZ= picks targets, RUNS= how many)
	RUNS=$(RUNS) MAX_SECONDS=$(MAX_SECONDS) scripts/fuzz $(FUZZ)

neon: ## compile for AArch64 and run the kernels' cases under QEMU
	scripts/neon

soak: ## kill training runs at random moments and resume them (KILLS= says how often)
	@scripts/setup test
	FASTNN_KILLS=$(KILLS) $(BIN)/python -m pytest tests/test_cli_resume.py -k killed --durations=1

clean: ## remove everything the other verbs made
	rm -rf build build-* dist .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.egg-info' -prune -exec rm -rf {} +
