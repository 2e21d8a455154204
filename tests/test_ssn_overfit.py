"""The whole chain on joins of real videos: SSN finds actions in frames that it has not seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, SHARED

REAL = SHARED / "data" / "real"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real videos at {REAL}")
def test_ssn_finds_the_actions_of_another_join(tmp_path: Path):
    videos = [REAL / f"{name}.mp4" for name in ("basketball", "pool")]
    command = ["scripts/ssn/overfit.py", "--background", str(REAL / "armwrestling.mp4")]
    command += [*map(str, videos), "--output", str(tmp_path), "--goal", "0.7"]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    metrics = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert metrics["mean_ap"]["0.5"] >= 0.7
    assert len(list((tmp_path / "timelines").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "--background", "nothing.mp4"], "nothing.mp4: no such video"),
        (["w.mp4", "--background", "w.mp4"], "--background with another video"),
    ],
)
def test_its_input_is_checked_first(arguments: list[str], message: str, tmp_path: Path):
    for name in ("a.mp4", "w.mp4"):
        (tmp_path / name).write_bytes(b"")
    command = [sys.executable, str(ROOT / "scripts/ssn/overfit.py"), *arguments]
    done = subprocess.run(
        [*command, "--output", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
