# Everything a newcomer needs: `make quickstart`, `make test`, `make lint`. No GPU, no downloads but
# the Python packages.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Where to take torch and torchvision from, such as an index of PyTorch's CPU builds: the ones of
# PyPI bring 3 GB of CUDA libraries. Everything else comes from where pip looks by default.
TORCH_INDEX ?=
TORCH_PINS := $(shell grep -E '^(torch|torchvision)==' requirements.txt)

.PHONY: quickstart quickstart-segments quickstart-tubes test test-slow lint bench soak fuzz cuda build clean

# The environment, with pinned dependencies and the compiled operators.
$(READY): requirements.txt setup.py pyproject.toml $(shell find csrc -type f)
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 10), 'Python 3.10 or newer is needed, this is ' + sys.version"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" "setuptools>=77" wheel
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --no-deps --index-url "$(TORCH_INDEX)" $(TORCH_PINS))
	$(BIN)/python -m pip install -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $(READY)

build: $(READY)

quickstart: $(READY)
	PYTHON=$(abspath $(BIN))/python bash scripts/quickstart.sh

# The same for tubes: RGB, flow, early fusion.
quickstart-tubes: $(READY)
	PYTHON=$(abspath $(BIN))/python bash scripts/quickstart_tubes.sh

# The same for segments of untrimmed videos.
quickstart-segments: $(READY)
	PYTHON=$(abspath $(BIN))/python bash scripts/quickstart_segments.sh

# Each of the workers computes with one thread.
TEST_WORKERS ?= 2
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n $(TEST_WORKERS) --dist worksteal

# What takes minutes: whole networks against recorded outputs.
test-slow: $(READY)
	$(BIN)/python -m pytest tests -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One Markdown table, half an hour; `python -m benchmarks NAME` makes a part of it.
bench: $(READY)
	$(BIN)/python -m benchmarks

# Training killed at random moments must end with the weights of the undisturbed run.
soak: $(READY)
	$(BIN)/python -m benchmarks.soak

# Hostile inputs to every command and reader, 2,400 in ten minutes on two cores.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz

cuda: $(READY)
	PYTHON=$(abspath $(BIN))/python bash benchmarks/build_cuda.sh

clean:
	rm -rf build *.egg-info utils/ops/_C*.so
