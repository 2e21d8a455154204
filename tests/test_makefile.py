"""What `make build` would run: where torch comes from with and without an index of the user's."""

import re
import shutil
import subprocess

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def pip_commands(*settings: str) -> list[str]:
    """The installing commands of `make build` in a fresh environment, in their order."""
    command = ["make", "--dry-run", "build", "VENV=no_such_folder", *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "pip install" in line]


def test_the_index_of_torch_is_for_torch_and_torchvision_alone():
    commands = pip_commands("TORCH_INDEX=https://example.org/cpu")
    (first,) = (line for line in commands if "--index-url" in line)
    assert '--index-url "https://example.org/cpu"' in first
    pins = re.findall(r"^(torch(?:vision)?==.*)$", (ROOT / "requirements.txt").read_text(), re.M)
    assert first.split()[-2:] == pins
    # What they need comes with everything else; what is installed by then fits the same pins.
    assert "--no-deps" in first
    assert commands.index(first) < next(i for i, c in enumerate(commands) if "-r req" in c)


def test_without_an_index_everything_comes_from_one_place():
    commands = pip_commands()
    assert any("-r requirements.txt" in line for line in commands)
    assert not any("--index-url" in line for line in commands)
