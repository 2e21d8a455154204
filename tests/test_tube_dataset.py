"""Samples of tubes: which frames and flow they show, where their tubes are, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data.augment import Augmentation
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_clips import all_clips
from data.datasets.tube_dataset import TubeClips
from data.flow import encode_field
from data.prepare.manifest import MANIFEST, RECORD
from data.prepare.numbered import (
    FLOW,
    FRAMES,
    SNIPPETS,
    NumberedRecord,
    write_numbered_manifest,
    write_numbered_record,
)
from utils.formats.tubes import make_tubes
from utils.tube_structures import collate_tube_clips

HEIGHT, WIDTH, COUNT = 24, 32, 12


def annotation() -> TubeAnnotations:
    """Video C/v of 12 frames: a tube throughout, which moves, and one of frames 1 to 6."""
    frames = np.arange(1, COUNT + 1)[:, None]
    moving = frames * [1, 0, 1, 0] + [0, 4, 8, 16]
    still = np.tile([20.0, 2, 30, 12], (6, 1))
    parts = [(0, 1, 1.0, 1, moving.astype(float)), (0, 0, 1.0, 1, still)]
    sizes = np.array([[HEIGHT, WIDTH]])
    return TubeAnnotations(["a", "b"], ["C/v"], np.array([COUNT]), sizes, make_tubes(parts))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Frame n is grey of level 10 n; field n is n / 16 pixels to the right."""
    (tmp_path / "rgb" / "C" / "v").mkdir(parents=True)
    (tmp_path / "flow" / "C" / "v").mkdir(parents=True)
    for n in range(1, COUNT + 1):
        image = np.full((HEIGHT, WIDTH, 3), 10 * n, np.uint8)
        cv2.imwrite(str(tmp_path / "rgb" / "C" / "v" / f"{n:05d}.png"), image)
        flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
        flow[0] = n / 16
        (tmp_path / "flow" / "C" / "v" / f"{n:05d}.npy").write_bytes(encode_field(flow, "npy")[0])
    return tmp_path


def dataset(root: Path, **changes: object) -> TubeClips:
    options: dict = {"window": 6, "image_size": 48, "frames": root / "rgb", "flow": root / "flow"}
    notes = annotation()
    return TubeClips(notes, all_clips(notes, stride=3), **(options | changes))


def test_frames_and_tubes_of_a_clip(root: Path) -> None:
    """Clips start at 1, 4 and 7; 32 x 24 pixels become 48 x 48."""
    clips = dataset(root)
    assert len(clips) == 3
    assert clips.channels == 3
    sample = clips[0]
    assert (sample.key.video, sample.key.start, sample.size) == ("C/v", 1, (HEIGHT, WIDTH))
    assert sample.images.shape == (6, 3, 48, 48)
    assert sample.images.dtype == torch.uint8
    assert sample.images[:, 0, 9, 9].tolist() == [10, 20, 30, 40, 50, 60]
    assert sample.targets.labels.tolist() == [1, 0]
    # frame 1: (1, 4, 9, 16) by 1.5 and 2
    assert sample.targets.boxes[0, 0].tolist() == [1.5, 8, 13.5, 32]
    assert sample.targets.real.all()
    assert clips[2].targets.labels.tolist() == [1]
    assert clips[2].images[:, 0, 0, 0].tolist() == [70, 80, 90, 100, 110, 120]


def test_actors_in_clips_are_counted_by_class(root: Path) -> None:
    """Of clips 1-6, 4-9 and 7-12 the tube of class a (1-6) covers one, that of b (1-12) three."""
    assert dataset(root).covered_clips().tolist() == [1, 3]
    notes = annotation()
    late = all_clips(notes, stride=3)[np.array([1, 2])]
    assert TubeClips(
        notes, late, window=6, image_size=48, frames=root / "rgb"
    ).covered_clips().tolist() == [0, 2]


def test_windows_reach_past_the_clip(root: Path) -> None:
    """The clip 4..9 in a window of 18: frames -2..15, of which 1..12 are there."""
    sample = dataset(root, window=18)[1]
    levels = [10] * 3 + [10 * n for n in range(1, 13)] + [120] * 3
    assert sample.images[:, 0, 0, 0].tolist() == levels
    assert sample.targets.labels.tolist() == [1]  # the other tube covers a part of the clip
    assert sample.targets.real[0].tolist() == [False] * 3 + [True] * 12 + [False] * 3
    assert not sample.targets.boxes[0, :3].any()


@pytest.mark.parametrize(("inputs", "channels", "first"), [("flow", 15, 0), ("early", 18, 3)])
def test_flow_comes_after_the_frames(root: Path, inputs: str, channels: int, first: int) -> None:
    """Frame 10 sees fields 10, 11, 12, 12, 12, of each u, v and magnitude."""
    clips = dataset(root, inputs=inputs)
    sample = clips[2]
    assert sample.images.shape == (6, channels, 48, 48)
    assert clips.channels == channels
    levels = sample.images[3, first:, 20, 20].reshape(5, 3)
    assert levels[:, 0].tolist() == [138, 139, 140, 140, 140]
    assert levels[:, 1].tolist() == [128] * 5
    assert levels[:, 2].tolist() == [138, 139, 140, 140, 140]
    if first:
        assert sample.images[3, :3, 0, 0].tolist() == [100] * 3
    assert dataset(root, inputs=inputs, flow_channels=2).channels == first + 10


def test_frames_flow_and_tubes_are_mirrored_and_cut_by_one_draw(root: Path) -> None:
    """Frames that show their own tube as white: after any draw the box encloses the white."""
    tubes = annotation().tubes
    for n in range(1, COUNT + 1):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        x1, y1, x2, y2 = tubes.boxes[n - 1].astype(int)
        image[y1:y2, x1:x2] = 255
        cv2.imwrite(str(root / "rgb" / "C" / "v" / f"{n:05d}.png"), image)
    clips = dataset(root, inputs="early", augmentation=Augmentation(crop=True, flip=True))
    seen = set()
    for epoch in range(40):
        sample = clips[epoch, 2]
        shows = bool(sample.images[0, 3, 0, 0] < 128)  # mirrored: field 7 moves left
        assert sample.images[0, 3, 0, 0] == (121 if shows else 135)
        for frame in (0, 5):
            rows, columns = np.nonzero(sample.images[frame, 0].numpy() > 127)
            white = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(sample.targets.boxes[0, frame], white, atol=2)
        seen.add((shows, tuple(sample.targets.boxes[0, 0].tolist())))
    assert {shows for shows, _ in seen} == {True, False}
    assert len(seen) > 10
    assert torch.equal(clips[3, 2].images, clips[3, 2].images)


def test_colours_change_on_frames_alone(root: Path) -> None:
    clips = dataset(root, inputs="early", augmentation=Augmentation(color=True))
    plain = dataset(root, inputs="early")[0].images
    drawn = [clips[epoch, 0].images for epoch in range(8)]
    assert all(torch.equal(images[:, 3:], plain[:, 3:]) for images in drawn)
    assert any(not torch.equal(images[:, :3], plain[:, :3]) for images in drawn)


def test_samples_become_a_batch(root: Path) -> None:
    clips = dataset(root)
    batch = collate_tube_clips([clips[0], clips[2]]).to(torch.device("cpu"))
    assert batch.images.shape == (2, 6, 3, 48, 48)
    assert [len(target.labels) for target in batch.targets] == [2, 1]
    assert [key.start for key in batch.keys] == [1, 7]
    assert batch.sizes == [(HEIGHT, WIDTH)] * 2
    assert len(batch) == len(set(batch.seeds)) == 2


def test_what_is_missing_is_named_before_any_work(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inputs: expected one of rgb, flow, early, got 'both'"):
        dataset(root, inputs="both")
    with pytest.raises(
        ValueError, match=r"inputs 'early': expected a folder of flow, got none \(data\.flow\)"
    ):
        dataset(root, inputs="early", flow=None)
    (root / "flow" / "C" / "v" / "00012.npy").unlink()
    assert len(dataset(root, inputs="early")) == 3  # the last frame's may be missing
    (root / "flow" / "C" / "v" / "00011.npy").unlink()
    with pytest.raises(ValueError, match=r"v: 10 flow fields, .* 12 frames \(data\.flow\)"):
        dataset(root, inputs="flow")
    (root / "rgb" / "C" / "v" / "00012.png").unlink()
    with pytest.raises(ValueError, match=r"v: 11 frames, the .* has 12 \(data\.frames\)"):
        dataset(root)
    with pytest.raises(ValueError, match=r"none/C/v: no such folder of flow \(data\.flow\)"):
        dataset(root, inputs="flow", flow=tmp_path / "none")
    with pytest.raises(ValueError, match=r"none/C/v: no such folder of fr.* \(data\.frames\)"):
        dataset(root, frames=tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("00005.png", "00099.png", r"00006\.png: .* this one should be number 5"),
        ("00012.png", "00000.png", r"00000\.png: .* this one should be number 1"),
        ("00003.png", "00003_copy.png", None),
        ("00003.png", "cover.png", r"00004\.png: .* this one should be number 3"),
    ],
)
def test_frames_that_are_not_numbered_from_1_are_named(
    root: Path, old: str, new: str, message: str | None
) -> None:
    """Otherwise boxes would be on other frames, which nobody would see."""
    folder = root / "rgb" / "C" / "v"
    (folder / old).rename(folder / new)
    if message is None:  # numbered all the same
        assert dataset(root)[0].images[2, 0, 0, 0] == 30
        return
    with pytest.raises(ValueError, match=message):
        dataset(root)


def test_a_crop_has_no_box_where_the_actor_is_outside_it(root: Path) -> None:
    """Before and after the clip the tube that moves leaves most crops; no box is without area."""
    clips = dataset(root, window=18, augmentation=Augmentation(crop=True))
    left = 0
    for epoch in range(60):
        targets = clips[epoch, 1].targets
        boxes = targets.boxes[targets.real]
        assert (boxes[:, 2:] - boxes[:, :2] > 0).all()
        left += int((~targets.real[:, 3:15]).any())  # the frames that the video has
    assert left > 5


def test_images_of_another_size_are_named(root: Path) -> None:
    flow = encode_field(np.zeros((2, HEIGHT, 30), np.float32), "npy")[0]
    (root / "flow" / "C" / "v" / "00001.npy").write_bytes(flow)
    with pytest.raises(ValueError, match=r"00001\.npy: flow of 30 x 24 pixels, expected 32 x 24"):
        dataset(root, inputs="flow")
    image = np.zeros((HEIGHT, 30, 3), np.uint8)
    cv2.imwrite(str(root / "rgb" / "C" / "v" / "00001.png"), image)
    with pytest.raises(ValueError, match="v: frames of 30 x 24 pixels, the annotation has 32 x 24"):
        dataset(root)


def test_later_frames_of_another_size_are_named(root: Path) -> None:
    """All frames of a window: their first one is no measure."""
    clips = dataset(root)
    image = np.zeros((HEIGHT, 30, 3), np.uint8)
    for number in range(4, 13):
        cv2.imwrite(str(root / "rgb" / "C" / "v" / f"{number:05d}.png"), image)
    with pytest.raises(ValueError, match=r"frame 4: .*v: frames of 30 x 24 pixels"):
        clips[1]


def test_an_unreadable_frame_names_its_clip(root: Path) -> None:
    clips = dataset(root)
    (root / "rgb" / "C" / "v" / "00005.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"video C/v, frame 4: .*00005\.png"):
        clips[1]


def write_kind(root: Path, kind: str) -> None:
    """The record that our extraction leaves in the folder of video C/v, and the manifest."""
    record = NumberedRecord(kind, "v.avi", 9, COUNT, HEIGHT, WIDTH, "", {})
    write_numbered_record(record, root / "C" / "v")
    write_numbered_manifest(root)


@pytest.mark.parametrize("left", [RECORD, MANIFEST])
def test_folders_that_hold_the_other_kind_are_named(root: Path, left: str) -> None:
    """A JPEG of flow reads as a frame, and a frame as flow."""
    rgb, flow = root / "rgb", root / "flow"
    write_kind(rgb, FRAMES)
    write_kind(flow, FLOW)
    assert len(dataset(root, inputs="early")) == 3
    for folder in (rgb, flow):  # one of the two is enough
        (folder / (MANIFEST if left == RECORD else f"C/v/{RECORD}")).unlink()
    message = rf"{rgb}: holds frames \(as .* of C/v says\), expected flow \(data\.flow\)"
    with pytest.raises(ValueError, match=message):
        dataset(root, inputs="flow", flow=rgb)
    message = rf"{flow}: holds flow \(as .* of C/v says\), expected frames \(data\.frames\)"
    with pytest.raises(ValueError, match=message):
        dataset(root, inputs="early", frames=flow)


def test_records_that_are_not_ours_say_nothing_of_the_kind(root: Path) -> None:
    for path in (root / "rgb" / MANIFEST, root / "rgb" / "C" / "v" / RECORD):
        path.write_text('{"kind": "flow"}')
    assert len(dataset(root)) == 3
    write_kind(root / "flow", SNIPPETS)
    assert len(dataset(root, inputs="flow")) == 3


def test_frames_with_flow_beside_them_are_read_alone(root: Path) -> None:
    """Frames and flow in one folder, as TSN has them: flow's names come first."""
    folder = root / "rgb" / "C" / "v"
    for n in range(1, COUNT + 1):
        (folder / f"{n:05d}.png").rename(folder / f"img_{n:05d}.png")
        for axis in "xy":
            image = np.full((HEIGHT, WIDTH), 7, np.uint8)
            cv2.imwrite(str(folder / f"flow_{axis}_{n:05d}.png"), image)
    write_kind(root / "rgb", SNIPPETS)
    assert dataset(root)[0].images[:, 0, 0, 0].tolist() == [10, 20, 30, 40, 50, 60]
