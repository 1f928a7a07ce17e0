# make demo: set up, run the whole grid on the embedded default, show the summary.
# make test: set up, pass the tests. All targets set up .venv once, from the pins in requirements.txt.
PYTHON ?= python3
WORKERS ?= 2
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test test-fast test-slow lint docs kernels-compiled wheel setup

demo: setup
	snakemake --profile profiles/local
	@cat results/tables/summary.md
	@echo && echo "Report: $(CURDIR)/results/report.html"

# tests/conftest.py says which tests one worker takes together.
PYTEST = pytest -n $(WORKERS) --durations=10

test: setup
	$(PYTEST)

test-fast: setup
	$(PYTEST) -m "not slow"

test-slow: setup
	$(PYTEST) -m slow

lint: setup
	ruff check . && ruff format --check . && lint-imports && snakefmt --check Snakefile rules
	mypy
	snakemake --lint

docs: setup
	mkdocs build --strict

# docs/kernels-compiled.md: by the pinned Triton, and by that of an older torch, installed beside.
OLDER_TRITON = build/triton-3.6.0
kernels-compiled: setup $(OLDER_TRITON)
	PYTHONPATH=$(OLDER_TRITON):kernels python -m clipdiff_kernels.aot --json build/older.json
	python -m clipdiff_kernels.aot --also build/older.json --markdown docs/kernels-compiled.md \
		--command "make kernels-compiled"

$(OLDER_TRITON):
	pip install --quiet --no-deps --target $@ triton==$(notdir $(subst triton-,,$@))

wheel: setup
	python -m build --wheel --outdir dist
	python -m build --wheel --outdir dist kernels

setup: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.txt
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@
