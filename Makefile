# make demo: set up, run the whole grid on the embedded default, show the summary.
# make test: set up, pass the tests. Both set up .venv once, from the pins in requirements.txt.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test lint setup

demo: setup
	snakemake --profile profiles/local
	@cat results/tables/summary.md
	@echo && echo "Report: $(CURDIR)/results/report.html"

test: setup
	pytest

lint: setup
	ruff check . && ruff format --check . && lint-imports && snakefmt --check Snakefile rules
	snakemake --lint

setup: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.txt
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@
