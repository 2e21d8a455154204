"""Names of before: they work, and say the new one."""

import importlib
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from utils.moved import MOVED

PACKAGES = {
    "utils.engine.Trainer": "utils.engine.trainer",
    "utils.evaluation.StepEvaluator": "utils.evaluation.evaluator",
    "data.video.FrameFolder": "data.video.windows",
    "data.prepare.prepare_video_dataset": "data.prepare.one_video",
}


def run(code: str) -> str:
    """What `code` prints in a fresh process, which has imported nothing of ours yet."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_every_new_name_is_there_and_no_old_one():
    for old, new in MOVED.items():
        assert importlib.util.find_spec(new) is not None, new
        assert not (ROOT / f"{old.replace('.', '/')}.py").exists(), old


def test_an_old_module_is_the_new_one():
    code = "import utils.boxes, utils.geometry.boxes as new; print(utils.boxes is new)"
    assert run(code) == "True"
    assert run("from models.detector import StepDetector as s; print(s.__module__)") == (
        "models.step.detector"
    )


def test_importing_an_old_name_says_the_new_one():
    sys.modules.pop("utils.boxes", None)
    with pytest.warns(FutureWarning, match="utils.boxes is now utils.geometry.boxes"):
        importlib.import_module("utils.boxes")


@pytest.mark.parametrize(("old", "new"), PACKAGES.items())
def test_what_a_module_had_that_is_a_package_now(old: str, new: str):
    package, _, name = old.rpartition(".")
    with pytest.warns(FutureWarning, match=f"{old} is now {new}.{name}"):
        found = getattr(importlib.import_module(package), name)
    assert found is getattr(importlib.import_module(new), name)


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("models.build", "load_detector", "models.registry"),
        ("data.loader", "describe_shortage", "data.loading.workers"),
        ("utils.postprocess", "merge_detections", "utils.reporting.persons"),
        ("utils.postprocess", "match_persons", "utils.reporting.person_track"),
        ("utils.evaluation", "ImageResult", "utils.evaluation.collecting"),
        ("utils.evaluation", "check_judgeable", "utils.evaluation.judging"),
    ],
)
def test_a_name_that_left_its_module_is_found_and_says_where(old: str, name: str, new: str):
    with pytest.warns(FutureWarning, match=f"is now {new}.{name}"):
        found = getattr(importlib.import_module(old), name)
    assert found is getattr(importlib.import_module(new), name)


def test_a_name_that_never_was_is_an_import_error():
    with pytest.raises(ImportError):
        importlib.import_module("utils.nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = importlib.import_module("utils.engine").nothing
