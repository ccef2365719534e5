# `make demo` and `make test` install, build and run all that they need.
#
#   make demo      build, decompose the shipped pictures, write demo/report.html
#   make test      build and run every test
#   make parity    compare with open_clip and Pillow in an environment of its own
#   make explorer  the explorer's page: its bundle is what its sources give, and it works in Chromium
#   make sanitize  the tests under the address and undefined-behaviour sanitizers
#   make fuzz      hostile files: each fuzz target for FUZZ_SECONDS (default 60)
#   make lint      formatting, clang-tidy, direction of the includes
#   make docs      the documentation site: build/docs/site/index.html
#   make wheel     the Python package as a source distribution, build/sdist, and from that as a wheel with
#                  its libraries, build/wheels
#   make package   build the wheel, try it in an empty environment, run the tests of the Python package
#   make bench     speed beside PyTorch and OpenVINO, peak memory (about 25 minutes)
#   make bench-birds  edits of the biased model (a minute on two cores)
#   make truth     labels of heads against what is known of pictures (four minutes on two cores)
#   make world     rebuild the picture world and its sets from their packages
#   make train     train the shipped models (hours)
#   make install   install under PREFIX (default /usr/local)

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# Eight sources of a folder are compiled as one, in half of the time. UNITY=OFF compiles each alone.
# More at once take less time, but more of it, and more memory, after a change: continuous
# integration takes 24.
UNITY ?= ON
SOURCES_AT_ONCE ?= 8
UNITS := -DCMAKE_UNITY_BUILD=$(UNITY) -DCMAKE_UNITY_BUILD_BATCH_SIZE=$(SOURCES_AT_ONCE)
BUILD := build/release
SANITIZED := build/sanitize
TIDY := build/tidy-UnifiedSource
FUZZ := build/fuzz
FUZZ_SECONDS ?= 60
PYTHON_ENV := build/python
PARITY_ENV := build/parity-env
LINT_ENV := build/lint-env
PACKAGE_ENV := build/package-env
DOCS_ENV := build/docs-env
SDIST := build/sdist
WHEELS := build/wheels
BENCH_ENV := build/bench-env
SOURCES = $(shell git ls-files 'cliplens/*.cc' 'cliplens/*.h' 'tests/*.cc' 'tests/*.h' \
  'bench/*.cc' 'examples/*.cc' 'fuzz/*.cc' 'fuzz/*.h')

.PHONY: all demo test parity explorer sanitize fuzz lint format docs bench bench-analysis bench-birds \
        bench-retrieval bench-segmentation bench-explorer truth world train install clean setup-build \
        setup-test setup-fuzz setup-docs environments build-tests build-sanitized run-tests run-sanitized \
        run-parity run-explorer wheel run-package package

# The wheel's build takes from ccache, where that is there, what another tree has compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

# Targets run one after the other; what they call takes JOBS at a time.
.NOTPARALLEL:

# A tree that has the tests keeps them.
all: setup-build
	cmake -S . -B $(BUILD) -G Ninja $(UNITS) \
	  $(if $(wildcard $(BUILD)/CMakeCache.txt),,-DCLIPLENS_BUILD_TESTS=OFF)
	cmake --build $(BUILD) -j $(JOBS) --target cliplens

setup-build:
	@tools/setup.sh build

setup-test:
	@tools/setup.sh test

setup-fuzz:
	@tools/setup.sh fuzz

setup-docs:
	@tools/setup.sh docs

demo: all
	rm -rf demo
	$(BUILD)/bin/cliplens demo --out demo

# Python beside the program, an environment for each use.
$(PYTHON_ENV)/ready: tools/requirements-test.txt
$(PARITY_ENV)/ready: tools/requirements-parity.txt
$(LINT_ENV)/ready: tools/requirements-lint.txt
$(PACKAGE_ENV)/ready: tools/requirements-package.txt
$(BENCH_ENV)/ready: tools/requirements-bench.txt
$(DOCS_ENV)/ready: tools/requirements-docs.txt
%/ready:
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

environments: $(PYTHON_ENV)/ready $(PARITY_ENV)/ready $(PACKAGE_ENV)/ready

# What builds and what runs stand apart, so that continuous integration can run several beside each
# other in trees that nothing writes to.
build-tests: setup-test
	cmake -S . -B $(BUILD) -G Ninja $(UNITS) -DCLIPLENS_BUILD_TESTS=ON \
	  -DCLIPLENS_PYTHON=$(CURDIR)/$(PYTHON_ENV)/bin/python
	cmake --build $(BUILD) -j $(JOBS) --target all header_examples cliplens_bench cliplens_bench_analysis

run-tests: $(PYTHON_ENV)/ready
	ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure --no-tests=error

test: build-tests run-tests

# One thread for numpy and waiting threads that sleep: the matrices are small.
run-parity: $(PARITY_ENV)/ready
	$(PARITY_ENV)/bin/pip install -q --disable-pip-version-check --no-deps --force-reinstall $(WHEELS)/*.whl
	OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(PARITY_ENV)/bin/python -m pytest -q \
	  -p no:cacheprovider tests/parity world/tests/test_train.py world/tests/test_device.py \
	  --cliplens=$(CURDIR)/$(BUILD)/bin/cliplens --write=docs/parity.md
	cd tests/package && $(CURDIR)/$(PARITY_ENV)/bin/python -m pytest -q -p no:cacheprovider test_docs_pages.py \
	  -k "recorder or training_loop"

parity: setup-test
	cmake -S . -B $(BUILD) -G Ninja $(UNITS) -DCLIPLENS_BUILD_TESTS=ON
	cmake --build $(BUILD) -j $(JOBS) --target cliplens text_tokens architecture_table
	$(MAKE) wheel run-parity

run-explorer:
	web/check.sh
	CLIPLENS_PROGRAM=$(CURDIR)/$(BUILD)/bin/cliplens node web/tests/browser.mjs
	CLIPLENS_PROGRAM=$(CURDIR)/$(BUILD)/bin/cliplens node web/tests/reach.mjs

explorer: all
	@tools/setup.sh web
	$(MAKE) run-explorer

# The wheel is made of the source distribution, so that what is missing there is missing here.
wheel: setup-test $(PACKAGE_ENV)/ready
	rm -rf $(SDIST)
	$(PACKAGE_ENV)/bin/python -m build --sdist --no-isolation -o $(SDIST) . >/dev/null
	mkdir $(SDIST)/tree
	tar -xzf $(SDIST)/cliplens-*.tar.gz -C $(SDIST)/tree --strip-components=1
	CCACHE_BASEDIR=$(CURDIR)/$(SDIST)/tree $(SDIST)/tree/tools/make_wheel.sh \
	  $(CURDIR)/$(PACKAGE_ENV)/bin/python $(CURDIR)/$(WHEELS) -Cbuild-dir=build/wheel \
	  -Ccmake.define.CLIPLENS_WARNINGS_AS_ERRORS=ON \
	  -Ccmake.define.CMAKE_UNITY_BUILD_BATCH_SIZE=$(SOURCES_AT_ONCE)

run-package:
	tools/check_wheel.sh $(WHEELS)/*.whl $(SDIST)/tree
	$(PACKAGE_ENV)/bin/pip install -q --disable-pip-version-check --no-deps --force-reinstall $(WHEELS)/*.whl
	cd tests/package && $(CURDIR)/$(PACKAGE_ENV)/bin/python -m pytest -q -p no:cacheprovider .

package: wheel run-package

build-sanitized: setup-test
	cmake --preset asan-ubsan-gcc -B $(SANITIZED) $(UNITS) -DCLIPLENS_BUILD_TESTS=ON \
	  -DCLIPLENS_PYTHON=$(CURDIR)/$(PYTHON_ENV)/bin/python
	cmake --build $(SANITIZED) -j $(JOBS)

run-sanitized: $(PYTHON_ENV)/ready
	ctest --test-dir $(SANITIZED) -j $(JOBS) --output-on-failure --no-tests=error

sanitize: build-sanitized run-sanitized

fuzz: setup-fuzz
	cmake -S . -B $(FUZZ) -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" -DCLIPLENS_FUZZ=ON -DCLIPLENS_CLIP_VOCABULARY=OFF
	cmake --build $(FUZZ) -j $(JOBS) --target fuzzers
	python3 fuzz/run.py $(FUZZ) --seconds $(FUZZ_SECONDS)

lint: setup-test $(LINT_ENV)/ready
	clang-format --dry-run -Werror $(SOURCES)
	python3 tools/check_includes.py
	cmake -S . -B $(TIDY) -G Ninja -DCLIPLENS_BUILD_TESTS=OFF -DCMAKE_UNITY_BUILD=ON \
	  -DCMAKE_UNITY_BUILD_BATCH_SIZE=24
	tools/tidy.sh $(TIDY) $(JOBS) $(CURDIR)/$(LINT_ENV)/bin/clang-tidy

docs: setup-docs $(DOCS_ENV)/ready
	python3 tools/make_docs.py build/docs
	$(DOCS_ENV)/bin/python tools/make_site.py

format: setup-test
	clang-format -i $(SOURCES)

bench: all setup-test $(BENCH_ENV)/ready
	cmake --build $(BUILD) -j $(JOBS) --target cliplens_bench
	$(BENCH_ENV)/bin/python bench/towers.py --worker $(BUILD)/bin/cliplens_bench
	$(BENCH_ENV)/bin/python bench/towers.py --worker $(BUILD)/bin/cliplens_bench --section siglip \
	  --models SigLIP-B/16 SigLIP-so400m/14-384 --batches 1 2 --threads 2 --precisions fp32
	$(BENCH_ENV)/bin/python bench/reference.py --worker $(BUILD)/bin/cliplens_bench
	$(BENCH_ENV)/bin/python bench/decompose.py --program $(BUILD)/bin/cliplens
	$(BENCH_ENV)/bin/python bench/report.py build/bench.json > build/bench.md
	@cat build/bench.md

bench-analysis: all setup-test $(BENCH_ENV)/ready
	cmake --build $(BUILD) -j $(JOBS) --target cliplens_bench_analysis
	$(BENCH_ENV)/bin/python bench/analysis.py --worker $(BUILD)/bin/cliplens_bench_analysis

# One thread each for numpy: its matrices here are small.
truth: all world
	OPENBLAS_NUM_THREADS=1 $(PYTHON_ENV)/bin/python -m bench.truth --program $(BUILD)/bin/cliplens \
	  --workers $(JOBS) --update

bench-birds: all world
	$(PYTHON_ENV)/bin/python -m bench.birds --program $(BUILD)/bin/cliplens --workers $(JOBS) --update

bench-retrieval: all world
	$(PYTHON_ENV)/bin/python -m bench.retrieval --program $(BUILD)/bin/cliplens --workers $(JOBS) --update

# Segmentation by all methods on the same pictures, deletion and insertion curves.
bench-segmentation: all world $(PARITY_ENV)/ready
	$(PARITY_ENV)/bin/python -m bench.segmentation --program $(BUILD)/bin/cliplens --update

bench-explorer: all $(BENCH_ENV)/ready
	cmake --build $(BUILD) -j $(JOBS) --target cliplens_bench_analysis
	@tools/setup.sh web
	cd web && npm ci --silent --no-audit --no-fund --ignore-scripts
	$(BENCH_ENV)/bin/python bench/explorer.py --browsers 7

world: setup-test $(PYTHON_ENV)/ready
	PYTHON=$(CURDIR)/$(PYTHON_ENV)/bin/python sh world/build.sh

train: world $(PARITY_ENV)/ready
	$(PARITY_ENV)/bin/python -m world.train natural
	$(PARITY_ENV)/bin/python -m world.train natural --seed 2 --run natural-2 --output pictureworld-2
	$(PARITY_ENV)/bin/python -m world.train roles
	$(PARITY_ENV)/bin/python -m world.train birds
	$(PARITY_ENV)/bin/python -m world.train natural --kind siglip --seed 3 --steps 5600 --run siglip \
	  --output pictureworld-siglip
	$(PARITY_ENV)/bin/python -m world.card

install: all
	cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build demo
