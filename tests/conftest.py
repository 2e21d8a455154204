"""What several test files share by name, and a setting for all of them."""

import signal
from pathlib import Path

import pytest
import torch

from tests.entries import Script
from tests.ops_helpers import COMPILED, FALLBACK
from tests.runs import write_data
from utils.ops import _backend

# Tiny tensors gain nothing from threads that wait for each other.
torch.set_num_threads(1)
# A shell starts what runs in its background deaf to Ctrl-C, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def script(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Script:
    """The script that the test file is about: it names it in `SCRIPT`."""
    return Script(request.module.SCRIPT, monkeypatch, capsys)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two toy videos, to be read only; a file that wants another has its own."""
    return write_data(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(params=["compiled", "fallback"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test holds for both implementations of the operators."""
    if request.param == "fallback":
        monkeypatch.setattr(_backend, "operators", FALLBACK)
    elif not COMPILED:
        pytest.skip("utils.ops._C is not built")
    return request.param
