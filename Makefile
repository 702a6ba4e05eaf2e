# Each target sets up what it needs: .venv with the pinned versions, and Debian's packages for the tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := agents,dev,docs,edge,livekit,server,train
DEBIAN := chromium flite1-dev libflite1
PINS := $(shell cat pyproject.toml constraints.txt Makefile | sha256sum | cut -c1-16)
INSTALLED := $(VENV)/.installed-$(PINS)
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
MERMAID := 11.17.2
DIAGRAMS := build/mermaid/package/dist/mermaid.min.js
MARKS := $(if $(SLOW),,-m "not slow")
TESTS ?=
WORKERS ?= 2
SPREAD := $(if $(TESTS),,-n $(WORKERS) --dist worksteal)
COVER := $(if $(COVERAGE),--cov $(if $(TESTS),--cov-fail-under=0))
ARGS ?=
# Behind an agent's command: what it ended for was said in its last line, to which make would only add "Error 1".
SAID := || (( $$? == 1 || $$? == 130 ))

.PHONY: help agent livekit-agent telephone test check docs bench gpu reliability release tiny debian

help:
	@echo "make agent   talk with the voice agent: starts it and prints its page's address (ARGS=--help)"
	@echo "make livekit-agent  talk with the agent on LiveKit: in this console, or on the server that LIVEKIT_URL names"
	@echo "make telephone  answer calls by Twilio, Telnyx or Plivo: PUBLIC_URL and the provider's key must be set"
	@echo "make test    run the tests (SLOW=1 for the slow ones too, TESTS=path for some, COVERAGE=1 to see what they run)"
	@echo "make check   lint, format, types, layers"
	@echo "make docs    build the documentation into build/site; a broken link or a missing docstring fails (SERVE=1 shows it)"
	@echo "make bench   run the benchmarks"
	@echo "make gpu     ask a GPU what must be known of it, 8 minutes (DRY=1 without one, ARGS=--help)"
	@echo "make reliability  run what it must survive, minutes of it, and write docs/reliability.md"
	@echo "make release build wheel and sdist, try the wheel in an empty environment, then ask and tag (DRY=1 does not tag)"
	@echo "make tiny    train csm-tiny from nothing into build/tiny: hours; goes on where it was stopped"

agent: $(INSTALLED)
	@LOGURU_LEVEL=INFO $(BIN)/python -m agents.webrtc $(ARGS) $(SAID)

livekit-agent: $(INSTALLED)
	$(if $(LIVEKIT_URL),,@$(MAKE) --no-print-directory debian DEBIAN=libportaudio2)
	@LOGURU_LEVEL=INFO LIVEKIT_LOG_LEVEL=INFO $(BIN)/python -m agents.livekit_agent \
		$(if $(LIVEKIT_URL),start,console) $(SAID)

telephone: $(INSTALLED)
	@LOGURU_LEVEL=INFO $(BIN)/python -m agents.telephony $(ARGS) $(SAID)

test: $(INSTALLED) debian
	$(if $(TESTS),,OMP_NUM_THREADS=1) $(BIN)/python -m pytest $(MARKS) $(SPREAD) $(COVER) $(TESTS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

docs: $(INSTALLED) $(DIAGRAMS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(if $(SERVE),serve,build --strict)

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

gpu: $(INSTALLED)
	LOGURU_LEVEL=INFO $(BIN)/python -m benchmarks.gpu $(if $(DRY),--dry) $(ARGS)

reliability: $(INSTALLED) debian
	$(BIN)/python -m tests.reliability

release: $(INSTALLED)
	$(BIN)/python .ci/release.py $(if $(DRY),--dry) $(ARGS)

tiny: $(INSTALLED) debian
	for stage in corpus codebooks ear decoder encoder gate lm export listen; do \
		$(BIN)/python -m training $$stage --folder build/tiny --minutes 100000; \
	done

# The library that draws the documentation's diagrams, to be served by the site itself.
$(DIAGRAMS):
	@mkdir -p build/mermaid
	@{ npm pack --silent --pack-destination build/mermaid mermaid@$(MERMAID) >/dev/null && \
		tar xzmf build/mermaid/mermaid-$(MERMAID).tgz -C build/mermaid package/dist/mermaid.min.js; } || \
		echo "diagrams are shown as their source: npm is not there, or gave no mermaid@$(MERMAID)" >&2

# torch goes first and by itself, so that it is the build that this machine's pip is set up for.
$(INSTALLED):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]' -c constraints.txt
	rm -f $(VENV)/.installed-*
	touch $@

# Chromium opens the agent's page in a test; flite speaks for the tests of the training.
debian:
	@missing=""; \
	if command -v dpkg-query >/dev/null; then \
		for name in $(DEBIAN); do \
			dpkg-query -W -f '$${Status}' $$name 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$name"; \
		done; \
	fi; \
	if test -z "$$missing"; then exit 0; fi; \
	root=""; if test "$$(id -u)" != 0; then root="sudo -n"; fi; \
	echo "installing$$missing"; \
	{ $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq$$missing >/dev/null; } || \
		echo "some tests need these Debian packages and will be skipped or fail: apt-get install$$missing" >&2
