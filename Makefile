# Everything starts from Python 3.11+ and a C++17 compiler (GCC 12+, Clang 13+); nothing else has to
# be there.

PYTHON ?= python3
MODEL ?= build/demo/resnet50.onnx

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

.PHONY: help setup demo test test-slow lint bench selector sanitize cross arm clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	$(BIN)/python -m pytest -m 'not slow'
	$(MAKE) --no-print-directory lint

test-slow: setup ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

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
	$(BIN)/python tests/benchmarks/advice.py

selector: setup ## measure how good the choice of algorithms is (an hour; goes on)
	$(BIN)/python tests/benchmarks/selector.py

# A second environment: the package built as a wheel with sanitizers, the dependencies of .venv.
sanitize: setup ## run the tests of the runtime under AddressSanitizer and UBSan
	$(BIN)/python -m venv --clear --without-pip build/sanitize/venv
	$(BIN)/pip --python build/sanitize/venv/bin/python install --no-deps \
	  --config-settings cmake.define.SPARSEPASS_SANITIZE=ON \
	  --config-settings cmake.define.SPARSEPASS_TESTING=ON \
	  --config-settings build-dir=build/sanitize/cmake .
	echo $(CURDIR)/.venv/lib/python*/site-packages \
	  > "$$(echo build/sanitize/venv/lib/python*/site-packages)/dependencies.pth"
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
	  build/sanitize/venv/bin/python -P -m pytest -m 'not slow' --capture sys \
	  --hypothesis-profile short tests/runtime

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
