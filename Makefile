# make setup | demo | test | soak | lint | bench | docs | truth: each works on a fresh clone with Python 3.11, make and the package registries.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo-shop

.PHONY: setup demo test soak lint bench docs truth clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

# A small shop with known truth, from its raw export to a published warehouse with API and dashboard, until Ctrl-C. With a
# file at hand: make demo FILE="Online Retail.xlsx"
demo: setup
	@$(BIN)/shopkeeper demo $(if $(FILE),"$(FILE)") --folder $(DEMO)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# A hundred kills of collector and loader, and a million late, duplicated and reordered events; some minutes.
soak: setup
	SHOPKEEPER_COLLECTOR_KILLS=100 SHOPKEEPER_EVENTS=1000000 $(BIN)/python -m pytest tests/end_to_end/test_collector_kills.py tests/end_to_end/test_late_events.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/run.py

docs: setup
	$(BIN)/python docs/make_tables.py
	$(BIN)/python docs/make_api.py

# What models are worth against the truth of simulated shops, written into docs/models.md.
truth: setup
	$(BIN)/python docs/make_truth.py

clean:
	rm -rf $(VENV) $(DEMO)
