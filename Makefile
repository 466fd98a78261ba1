# Everything starts from Python 3.11+ and a C++17 compiler; nothing else has to be there.

PYTHON ?= python3
MODEL ?= build/demo/resnet50.onnx

PATH := $(CURDIR)/.venv/bin:$(PATH)
STAMP := .venv/installed
NATIVE := $(wildcard runtime/native/*)
DEMO := build/demo
BENCHED := resnet50 mobilenet_v1 vgg16

.PHONY: help setup demo test test-slow lint bench sanitize clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv, build the native library, install everything

$(STAMP): pyproject.toml runtime/CMakeLists.txt $(NATIVE) | .venv/bin/pip
	@printf 'int main() {}' | $${CXX:-c++} -std=c++17 -x c++ -fsyntax-only - 2>/dev/null \
	  || { echo "make: no C++17 compiler; install g++ or clang++, or set CXX" >&2; exit 1; }
	.venv/bin/pip install --editable '.[test]'
	@touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: $(PYTHON) is not Python 3.11 or newer; use make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

demo: setup $(MODEL) ## optimize, verify and time a network (MODEL=file.onnx for your own)
	@mkdir -p $(DEMO)
	sparsepass optimize $(MODEL) -o $(DEMO)/demo.sparse.onnx --report $(DEMO)/report.html
	sparsepass verify $(MODEL) $(DEMO)/demo.sparse.onnx
	sparsepass bench $(MODEL) $(DEMO)/demo.sparse.onnx
	@echo "The report is $(CURDIR)/$(DEMO)/report.html"

$(DEMO)/%.onnx: examples/networks.py | $(STAMP)
	python examples/networks.py $* --sparsity 0.9 -o $@

test: setup ## run all tests but the slow ones, then lint
	python -m pytest -m 'not slow'
	$(MAKE) --no-print-directory lint

test-slow: setup ## run the tests that take minutes
	python -m pytest -m slow

lint: setup ## check style and types
	ruff check
	ruff format --check
	python tests/static_view.py
	pyright
	@if command -v clang-format >/dev/null; then \
	  clang-format --dry-run --Werror $(filter %.cc %.h,$(NATIVE)); \
	else echo "clang-format is absent: C++ style not checked"; fi

bench: setup $(BENCHED:%=$(DEMO)/%.onnx) ## time the example networks against every engine installed
	for network in $(BENCHED); do \
	  sparsepass optimize $(DEMO)/$$network.onnx -o $(DEMO)/$$network.sparse.onnx \
	  && sparsepass bench $(DEMO)/$$network.onnx $(DEMO)/$$network.sparse.onnx || exit 1; \
	done

sanitize: setup ## run the native tests under AddressSanitizer and UBSan
	cmake -S runtime -B build/sanitize -G Ninja -DSPARSEPASS_SANITIZE=ON
	cmake --build build/sanitize
	ctest --test-dir build/sanitize --output-on-failure --no-tests=error

clean: ## remove everything that make created
	rm -rf .venv build
