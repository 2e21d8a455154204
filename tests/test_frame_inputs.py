"""What a network sees of a video in passing is what it sees of the extracted folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_clips import all_clips
from data.datasets.tube_dataset import TubeClips
from data.frame_inputs import frame_inputs
from data.prepare.flow import FlowSettings, flow_fields, make_method
from utils.formats.tubes import make_tubes


def moving(frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    places = [i * (i + 1) // 2 for i in range(frames)]  # faster and faster
    ground = cv2.GaussianBlur(rng.integers(0, 255, (40, 120, 3)).astype(np.uint8), (0, 0), 2)
    return [np.ascontiguousarray(ground[:, x : x + 48]) for x in places]


@pytest.fixture
def dataset(tmp_path: Path) -> TubeClips:
    """Eight frames, stored without loss, with their flow."""
    frames = moving(8)
    method = make_method(FlowSettings())
    (tmp_path / "frames" / "v").mkdir(parents=True)
    (tmp_path / "flow" / "v").mkdir(parents=True)
    for i, image in enumerate(frames, 1):
        path = tmp_path / "frames" / "v" / f"{i:05d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    for i, field in enumerate(flow_fields(iter(frames), method), 1):
        np.save(tmp_path / "flow" / "v" / f"{i:05d}.npy", field)
    tubes = make_tubes([(0, 0, 1.0, 1, np.tile([1.0, 1, 20, 20], (8, 1)))])
    notes = TubeAnnotations(["a"], ["v"], np.array([8]), np.array([[40, 48]]), tubes)
    return TubeClips(
        notes,
        all_clips(notes),
        window=6,
        image_size=32,
        frames=tmp_path / "frames",
        flow=tmp_path / "flow",
        inputs="early",
    )


@pytest.mark.parametrize(("inputs", "channels"), [("rgb", 3), ("flow", 15), ("early", 18)])
def test_frames_in_passing_are_those_of_the_folders(
    dataset: TubeClips, inputs: str, channels: int
) -> None:
    method = None if inputs == "rgb" else make_method(FlowSettings())
    seen = np.stack(list(frame_inputs(iter(moving(8)), 32, inputs, flow=method)))
    assert seen.shape == (8, channels, 32, 32)
    expected = dataset.read_frames(0, np.arange(1, 9))
    part = {"rgb": slice(0, 3), "flow": slice(3, 18), "early": slice(0, 18)}[inputs]
    np.testing.assert_array_equal(seen, expected[:, part])
    assert np.ptp(seen[:, -1].astype(int)) > 20


def test_a_single_frame_does_not_move() -> None:
    method = make_method(FlowSettings())
    (image,) = frame_inputs(iter(moving(1)), 32, "flow", 2, method)
    assert image.shape == (10, 32, 32)
    assert (image == 128).all()
