"""What the demo has to know of STEP beside its annotator: its own videos, and what to tell."""

from __future__ import annotations

from pathlib import Path

from data.toy.actors import ACTIONS
from data.video.inputs import Sources
from external.files import real_path
from models import StepDetector
from models.weights.checkpoint import LoadedCheckpoint
from utils.config.step import Config, DataConfig
from utils.geometry.grid import is_grid
from utils.runs.settings import with_run_data


def own_videos(checkpoint: LoadedCheckpoint[Config, StepDetector]) -> Path:
    """Return the folder of the held-out videos of the dataset that the detector was trained on."""
    return _trained_on(checkpoint).folder / "videos"


def demo_notes(checkpoint: LoadedCheckpoint[Config, StepDetector], found: Sources) -> list[str]:
    """Return what the user should know before the videos in `found` are shown, a line each."""
    data, notes = _trained_on(checkpoint), []
    if not is_grid(data.proposals):
        notes.append(
            f"note: this detector was trained on the boxes in {data.proposals}; here it starts "
            f"from a grid of {checkpoint.config.data.proposals} boxes"
        )
    classes = (checkpoint.classes or {}).values()
    own = real_path(data.folder)
    elsewhere = [s for s in found.opened.values() if not real_path(s.path).is_relative_to(own)]
    if classes and {action.name for action in ACTIONS}.issuperset(classes) and elsewhere:
        notes.append(
            "note: this checkpoint was trained on the toy dataset and knows drawn figures only; on "
            "other videos its boxes mean nothing"
        )
    return notes


def _trained_on(checkpoint: LoadedCheckpoint[Config, StepDetector]) -> DataConfig:
    """Settings of the data, with the places of the run's dataset where the run is known."""
    return with_run_data(checkpoint.config, checkpoint.path).data
