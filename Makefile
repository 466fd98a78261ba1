# Everything starts from Python 3.11+ and a C++17 compiler; nothing else has to be there.

PYTHON ?= python3
MODEL ?= build/demo/resnet50.onnx

BIN := .venv/bin
STAMP := .venv/installed
NATIVE := $(shell find runtime/native -type f)
DEMO := build/demo
BENCHED := resnet50 mobilenet_v1 vgg16

.PHONY: help setup demo test test-slow lint bench sanitize clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv, build the native library, install everything

$(STAMP): pyproject.toml runtime/CMakeLists.txt $(NATIVE) | $(BIN)/pip
	@printf 'int main() {}' | $${CXX:-c++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null \
	  || { echo "make: no C++17 compiler; install g++ or clang++, or set CXX" >&2; exit 1; }
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

test: setup ## run all tests but the slow ones, then lint
	$(BIN)/python -m pytest -m 'not slow'
	$(MAKE) --no-print-directory lint

test-slow: setup ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: setup ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tests/static_view.py
	$(BIN)/pyright
	@if command -v clang-format >/dev/null; then \
	  clang-format --dry-run --Werror $(filter %.cc %.h,$(NATIVE)); \
	else echo "clang-format is absent: C++ style not checked"; fi

bench: setup $(BENCHED:%=$(DEMO)/%.onnx) ## time the example networks against every engine installed
	for network in $(BENCHED); do \
	  $(BIN)/sparsepass optimize $(DEMO)/$$network.onnx -o $(DEMO)/$$network.sparse.onnx \
	  && $(BIN)/sparsepass bench $(DEMO)/$$network.onnx $(DEMO)/$$network.sparse.onnx || exit 1; \
	done

sanitize: setup ## run the native tests under AddressSanitizer and UBSan
	$(BIN)/cmake -S runtime -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DSPARSEPASS_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure --no-tests=error

clean: ## remove everything that make created
	rm -rf .venv build
