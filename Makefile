# SPDX-License-Identifier: Apache-2.0
# One command for each job. Each does all its set-up on a bare clone, with nothing but a CPython, a
# C compiler and the package registry; what it makes lies in .venv, in build/, and beside the
# sources as git ignores it.
#
#   make test PYTHON=python3.12     another interpreter, in a venv of its own
#   make test ARGS='-x -k stream'   what pytest, the demo or the benchmarks take
#   make bench AEAD=ipsec-mb        another library opens segments: another build, another measurement

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= $(if $(filter file,$(origin PYTHON)),.venv,build/venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
ARGS ?=
STATE ?=
LAUNCHER ?= native
PROGRAM ?=
KEY ?=
# What opens segments: openssl, or ipsec-mb. Whoever builds says it, and never what is installed.
AEAD ?= openssl
ENCLAVE ?= build/enclave/$(AEAD)$(if $(filter file,$(origin PYTHON)),,-$(notdir $(PYTHON)))

COMPONENTS := attestation auditing builds client enclave governance host proto ratls refusals sealing
KERNEL := $(wildcard enclave/kernel/*.[ch] enclave/kernel/*/*.[ch])
# Two have targets of their own, because they install more: peers, and a model; one takes half an
# hour.
BENCHES ?= $(filter-out bench/_% bench/aggregation.py bench/sealed_inference.py bench/faults.py bench/abuse.py,$(wildcard bench/*.py))
HOST_BENCHES := $(addprefix bench/,faults.py abuse.py put.py unary.py submit.py throughput.py watches.py)
PROTOS := $(sort $(wildcard proto/v1/*.proto))
# protoc maps folders itself: this way the stubs import placet.proto, and nothing rewrites them.
PROTO_PATHS := $(PROTOS:proto/%=placet/proto/%)
PIP := -m pip --disable-pip-version-check --quiet

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PLACET_AEAD := $(AEAD)
# Tests and demos start hundreds of interpreters: none compiles again what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-federation demo-inference test check bench bench-aggregation bench-inference bench-host fault abuse soak fix fuzz clean proto lock sanitize generate generate-blocking blocking schemas need enclave release gramine launcher sbom
help: ## list the targets
	@awk -F ': .*## ' '/^[a-z-]+: .*## /{printf "make %-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

LAUNCH := --launcher $(LAUNCHER) $(if $(filter-out native,$(LAUNCHER)),--enclave $(ENCLAVE))
demo: setup $(if $(filter-out native,$(LAUNCHER)),launcher) ## the whole story on this machine, simulated (STATE=folder keeps its files; LAUNCHER=gramine-direct)
	$(BIN)/python examples/demo.py $(LAUNCH) $(if $(STATE),--state '$(STATE)') $(ARGS)

# A manifest for each program, as on SGX: what it imports beyond the worker's own is listed in it.
launcher: setup
	@$(BIN)/python examples/demo.py --launcher '$(LAUNCHER)' --ask
	rm -rf build/gramine/simulated
	$(MAKE) gramine OUT=build/gramine/simulated ARGS=--simulated
	for program in breast_cancer attacks/second_identity attacks/slow; do \
	  $(MAKE) gramine OUT=build/gramine/simulated PROGRAM=examples/$$program ARGS=--simulated; done

demo-federation: setup $(if $(filter-out native,$(LAUNCHER)),launcher) ## ten clients train together, a liar among them, and with privacy (plot: build/federation.png)
	$(BIN)/python examples/federation.py $(LAUNCH) $(if $(STATE),--state '$(STATE)') $(ARGS)

demo-inference: setup build/sentences/.locked ## a sealed model answers sealed questions, until somebody vetoes it (STATE=folder keeps its files)
	$(BIN)/python examples/inference.py --sentences build/sentences $(if $(STATE),--state '$(STATE)') $(ARGS)

# More than there are cores: a test waits for other processes, disk and timers a third of its time.
JOBS ?= $(shell expr $$(nproc) + 2)
# The cores are taken; and numpy starts faster where it starts no threads.
test: export OPENBLAS_NUM_THREADS := 1
test: setup build/compiler/.locked ## all tests, JOBS files at a time: two more than there are cores
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# SEED gives a run again, up to its failure.
SECONDS ?= 600
SEED ?=
fuzz: setup ## strange documents by everybody, for SECONDS, from SEED: tests/fuzz/council
	$(BIN)/python tests/fuzz/council/campaign.py --seconds $(SECONDS) $(if $(SEED),--seed '$(SEED)') $(ARGS)

# SECONDS bounds it where it is said; EVENTS does in any case.
EVENTS ?=
GIVEN_SECONDS := $(if $(filter file,$(origin SECONDS)),,--seconds $(SECONDS))
FAULT = $(BIN)/python -m tests.fault $(if $(SEED),--seed '$(SEED)')
fault: setup ## a host under load is killed, stopped, locked out and filled up (SEED, EVENTS=300, SECONDS): tests/fault
	$(FAULT) $(if $(EVENTS),--events $(EVENTS)) $(GIVEN_SECONDS) $(ARGS)

abuse: setup ## every stranger at once against honest work (SECONDS=60): tests/abuse
	$(BIN)/python -m tests.abuse $(GIVEN_SECONDS) $(ARGS)

soak: setup ## faults, and then strangers, for half of SECONDS each: ten minutes if none are said
	$(FAULT) --events $(if $(EVENTS),$(EVENTS),1000000) --seconds $$(($(SECONDS) / 2))
	$(BIN)/python -m tests.abuse --seconds $$(($(SECONDS) / 2))

check: setup build/typing/placet generate generate-blocking ## format, lint, layers, types, and what is generated
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy | sed 's|^build/typing/placet/||'
	$(BIN)/pyright --pythonpath $(BIN)/python
	diff -r -x '*.proto' -x py.typed -x __pycache__ build/stubs/placet/proto/v1 proto/v1 \
	  && diff build/stubs/refusals.py refusals/__init__.py \
	  || { echo 'The stubs in proto/v1, or refusals/__init__.py, are not what the .proto files say: run `make proto`.' >&2; exit 1; }
	diff build/blocking/blocking.py client/blocking.py && diff build/blocking/sdk.md docs/sdk.md \
	  || { echo 'The blocking client is not what the asynchronous one says: run `make blocking`.' >&2; exit 1; }

bench: setup ## the benchmarks (BENCHES=bench/one.py for one of them)
	for file in $(BENCHES); do $(BIN)/python "$$file" $(ARGS); done

bench-host: setup ## how a host holds, and beside bare peers; the faults take half an hour
	for file in $(HOST_BENCHES); do $(BIN)/python "$$file" $(ARGS); done

# One thread is claimed, so numpy gets one; ours takes as many as it is told.
bench-aggregation: setup build/peers/.locked ## aggregation beside the peers' (ARGS='--passes 3')
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python bench/aggregation.py --out build/aggregation.jsonl $(ARGS)
	build/peers/bin/python bench/peers/plot.py build/aggregation.jsonl build/aggregation.png

bench-inference: setup build/sentences/.locked ## sealed questions beside a plain server's (ARGS='--passes 3')
	$(BIN)/python bench/sealed_inference.py --out build/inference.jsonl $(ARGS)

fix: setup ## format and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: generate ## make the stubs in proto/v1 and the exceptions of refusals/ again from the .proto files
	rm -f proto/v1/*_pb2*
	cp build/stubs/placet/proto/v1/*_pb2* proto/v1/
	cp build/stubs/refusals.py refusals/__init__.py

blocking: generate-blocking ## make client/blocking.py and docs/sdk.md again from the asynchronous client
	cp build/blocking/blocking.py client/
	cp build/blocking/sdk.md docs/

schemas: setup ## make docs/schemas again from the classes and deploy/schemas.toml
	$(BIN)/python deploy/schemas.py --out docs/schemas

setup: $(VENV)/.installed ## only what the others need: the venv, the locked packages, the kernel

# The kernel's tests once more, with the kernel built to catch overruns and undefined behaviour.
sanitize: setup ## the kernel's tests under AddressSanitizer and UndefinedBehaviorSanitizer
	rm -rf build/sanitize && mkdir -p build/sanitize/placet
	ln -s $(addprefix $(CURDIR)/,$(filter-out enclave,$(COMPONENTS))) build/sanitize/placet/
	cp -r enclave build/sanitize/placet/ && rm -f build/sanitize/placet/enclave/*.so
	$${CC:-cc} -shared -fPIC -g -O1 -std=c11 -ffp-contract=off -Wall -Wextra -fvisibility=hidden \
	  -fsanitize=address,undefined -fno-sanitize-recover=all \
	  -I"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')" $(filter %.c,$(KERNEL)) $(if $(filter ipsec-mb,$(AEAD)),-DPLACET_WITH_IPSEC_MB -lIPSec_MB,-lcrypto) \
	  -o "build/sanitize/placet/enclave/_kernel$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
	PYTHONPATH=build/sanitize ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so)" \
	  $(BIN)/pytest -p no:cacheprovider tests/unit/enclave/kernel $(ARGS)

# What is measured comes from the locks alone, the compiler too; see deploy/enclave.py.
enclave: $(ENCLAVE)/build.json ## the enclaves that a host runs, in build/enclave: the same measurements on every such machine
	@$(BIN)/placet measure --enclave $(ENCLAVE)

$(ENCLAVE)/build.json: $(VENV)/.installed build/compiler/.locked deploy/enclave.py $(wildcard enclave/requirements*.txt) \
    $(shell find attestation enclave governance proto refusals sealing -name '*.py' -o -name '*.pyi' -o -name '*.proto')
	$(BIN)/python deploy/enclave.py --compiler build/compiler --out $(ENCLAVE) --aead $(AEAD)

build/compiler/.locked: requirements/compiler.txt $(VENV)/.locked
	rm -rf build/compiler
	$(BIN)/python $(PIP) install --no-deps --require-hashes --no-compile --target build/compiler -r requirements/compiler.txt
	touch $@

# BUILDS: those of other machines too. KEY: whose public half clients know.
BUILDS ?= $(ENCLAVE)/build.json
release: setup ## sign the measurements of a release, for the client to ship (KEY=release.key BUILDS='a/build.json b/build.json')
	@test -n '$(KEY)' || { echo 'Name the key that signs: make release KEY=release.key' >&2; exit 1; }
	rm -rf $(ENCLAVE) && $(MAKE) enclave
	$(BIN)/python deploy/release.py --key '$(KEY)' $(BUILDS)

# OpenSSL opens segments, which Python loads anyhow: ipsec-mb would be 12 MiB more to trust.
OUT ?= build/gramine/manifests
gramine: enclave ## the Gramine manifests, in OUT (PROGRAM=path: of its worker; KEY=pem: signed; AEAD=ipsec-mb)
	$(BIN)/python deploy/gramine/render.py --out '$(OUT)' --python $(ENCLAVE)/venv/bin/python --onnx-python $(ENCLAVE)/venv-onnx/bin/python \
	  $(if $(PROGRAM),--program '$(PROGRAM)') $(if $(KEY),--key '$(KEY)') $(ARGS)

sbom: enclave ## what each enclave is made of, in build/sbom: CycloneDX
	$(BIN)/python deploy/sbom.py --build $(ENCLAVE) --out build/sbom

clean: ## remove all that the targets above made, the venv too
	rm -rf build dist *.egg-info .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f enclave/_kernel.*.so
	find $(COMPONENTS) $(wildcard tests bench deploy examples) -name __pycache__ -prune -exec rm -rf {} +

# What a machine has to have. Each message names the Debian package.
need:
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c '' 2>/dev/null \
	  || { echo '$(PYTHON) does not run. Install CPython 3.11 to 3.13 (Debian: python3).' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Placet needs CPython 3.11 to 3.13; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo '$(PYTHON) has no venv module. Install it (Debian: python3-venv).' >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null \
	  || { echo 'There is no C compiler. Install one (Debian: gcc libc6-dev), or name it in CC.' >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
	  || { echo 'Python.h is missing for $(PYTHON). Install the headers (Debian: python3-dev).' >&2; exit 1; }
	@printf '#include <openssl/opensslv.h>\n#if OPENSSL_VERSION_MAJOR < 3\n#error old\n#endif\n' | $${CC:-cc} -E -x c - >/dev/null 2>&1 \
	  || { echo 'The headers of OpenSSL 3 are missing. Install them (Debian: libssl-dev).' >&2; exit 1; }

$(VENV)/.locked: requirements/dev.txt | need
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	touch $@

# No build isolation: pip would fetch a setuptools outside the lock. What is installed here is a
# development build: its kernel is made by this machine's compiler. A client needs none.
$(VENV)/.installed: $(VENV)/.locked $(VENV)/.aead-$(AEAD) pyproject.toml setup.py $(KERNEL)
	rm -rf build/temp.*
	$(BIN)/python $(PIP) install --no-build-isolation --no-deps --editable .
	$(BIN)/python -P -c 'import placet.enclave._kernel' \
	  || { echo 'The kernel was not built. The compiler says why: $(BIN)/python -m pip install -v --no-build-isolation --no-deps -e .' >&2; exit 1; }
	touch $@

$(VENV)/.aead-$(AEAD): $(VENV)/.locked
	rm -f $(VENV)/.aead-*
	touch $@

build/typing/placet: setup.py
	mkdir -p $@
	ln -sfn $(addprefix $(CURDIR)/,$(COMPONENTS)) $@ && touch $@

build/codegen/.locked: requirements/codegen.txt | need
	$(PYTHON) -m venv --clear build/codegen
	build/codegen/bin/python $(PIP) install --no-deps --require-hashes -r requirements/codegen.txt
	touch $@

# grpc stubs only where there is a service.
generate: build/codegen/.locked
	rm -rf build/stubs && mkdir -p build/stubs/placet/proto/v1
	PATH="$(CURDIR)/build/codegen/bin:$$PATH" python -m grpc_tools.protoc -Iplacet/proto=proto \
	  --python_out=build/stubs --mypy_out=quiet:build/stubs $(PROTO_PATHS)
	PATH="$(CURDIR)/build/codegen/bin:$$PATH" python -m grpc_tools.protoc -Iplacet/proto=proto \
	  --grpc_python_out=build/stubs --mypy_grpc_out=quiet:build/stubs \
	  $$(grep -l '^service ' $(PROTOS) | sed 's|^proto/|placet/proto/|')
	PYTHONPATH=build/stubs build/codegen/bin/python deploy/refusals.py build/stubs/refusals.py

# It reads sources alone, so it works whatever is wrong with what it made before.
generate-blocking: $(VENV)/.locked
	$(BIN)/python deploy/blocking.py --out build/blocking
	$(BIN)/ruff check --quiet --select I,F401 --fix build/blocking/blocking.py
	$(BIN)/ruff format --quiet build/blocking/blocking.py

# The peers pin much that Placet does not, so they have a venv of their own; numpy and the plots are
# theirs too.
build/peers/.locked: requirements/peers.txt | need
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/python $(PIP) install --no-deps --require-hashes -r requirements/peers.txt
	touch $@

# A folder and no venv: the demo's own process reads from it, and no enclave or host has it on its
# path.
build/sentences/.locked: requirements/sentences.txt $(VENV)/.locked
	rm -rf build/sentences
	$(BIN)/python $(PIP) install --no-deps --require-hashes --target build/sentences -r requirements/sentences.txt
	touch $@

build/lock/.locked: requirements/lock.txt | need
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python $(PIP) install --no-deps --require-hashes -r requirements/lock.txt
	touch $@

# Every lock serves CPython 3.11 to 3.13. The enclaves' are resolved from their own lists alone,
# held to the versions that the tests run with.
COMPILE = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --upgrade \
  --generate-hashes --no-config --no-emit-index-url --custom-compile-command 'make lock'
EXTRAS = $(PYTHON) -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
  print(*(each for name in sys.argv[1:] for each in extras[name]), sep="\n")'
lock: build/lock/.locked ## resolve the locks again, to the newest versions that the ranges allow
	$(COMPILE) pyproject.toml --extra host --extra onnx --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra host --no-annotate --constraints requirements/dev.txt -o requirements/host.txt
	$(COMPILE) --group codegen -o requirements/codegen.txt
	$(COMPILE) --group lock -o requirements/lock.txt
	$(COMPILE) --group compiler -o requirements/compiler.txt
	$(COMPILE) --group peers -o requirements/peers.txt
	$(COMPILE) --group sentences --no-deps -o requirements/sentences.txt
	$(EXTRAS) enclave | $(COMPILE) - --no-annotate --constraints requirements/dev.txt -o enclave/requirements.txt
	$(EXTRAS) enclave onnx | $(COMPILE) - --no-annotate --constraints requirements/dev.txt -o enclave/requirements-onnx.txt
