"""Whole videos clip by clip: the same as each clip alone, every frame once, little kept."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from data.datasets.tube_clips import clip_window
from models.step.build_tubes import build_tube_detector
from models.step.frame_detector import FrameDetector
from models.step.fusion import (
    ClipScores,
    boost,
    clip_scores,
    mean_by_index,
    tubelet_overlaps,
    union,
)
from models.step.inference import prepare_for_inference
from recipes.tube_streaming import ClipScorer, FrameStream, detect_in_video, in_pixels, portions
from utils.config.step_tubes import TubesModel
from utils.evaluation.tubelet_lists import join_clips

SIDE, CLASSES = 32, 3
PROPOSALS = torch.tensor([[2.0, 3, 20, 25], [8, 8, 30, 30], [0, 0, 32, 32]])


def detector(seed: int = 0, **changes: object) -> FrameDetector:
    """A small one whose regression moves boxes by several pixels."""
    settings = {
        "backbone": "tiny2d",
        "width": 4,
        "num_classes": CLASSES,
        "steps": 2,
        "global_dim": 8,
        "fc_dim": 8,
        "local_dim": 8,
        "pool_size": 2,
    }
    torch.manual_seed(seed)
    made = build_tube_detector(TubesModel(**(settings | changes))).eval()
    for name, parameter in made.heads.named_parameters():
        if "regressor" in name and name.endswith("bias"):
            parameter.data.normal_(std=0.1)
        elif "classifier.weight" in name:  # a fresh one prefers no action
            parameter.data.mul_(20)
    return made


def video(frames: int, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, channels, SIDE, SIDE)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


def stream(made: FrameDetector) -> FrameStream:
    return FrameStream(made, PROPOSALS, SIDE, torch.device("cpu"))


def chunks(videos: list[Tensor], size: int) -> Iterator[list[Tensor]]:
    for start in range(0, len(videos[0]), size):
        yield [images[start : start + size] for images in videos]


def alone(made: FrameDetector, images: Tensor, starts: list[int]) -> list[ClipScores]:
    """Each clip's window as a batch of its own, through the whole network."""
    frames, window = len(images), made.clip_spec.window_frames
    rows = [clip_window(start, frames, window).frames - 1 for start in starts]
    with torch.inference_mode():
        outputs = made(torch.stack([images[r] for r in rows]), [PROPOSALS] * len(starts))
    return [clip_scores(output, len(starts), SIDE) for output in outputs]


@pytest.mark.parametrize(("frames", "size", "batch", "stride"), [
    (6, 4, 3, 1), (7, 7, 2, 1), (25, 3, 4, 1), (25, 8, 2, 3), (40, 5, 5, 6),
])  # fmt: skip
def test_a_video_gives_what_each_clip_gives_alone(
    frames: int, size: int, batch: int, stride: int
) -> None:
    made, images = detector(), video(frames)
    starts = list(range(1, frames - 4, stride))
    found = list(
        detect_in_video(
            ClipScorer([stream(made)]), chunks([images], size), frames, 60, 90, stride, batch
        )
    )
    for step, expected in enumerate(alone(made, images, starts)):
        clips = join_clips([part[step] for part in found])
        wanted = in_pixels(expected, starts, 60, 90)
        assert clips.starts.tolist() == starts
        np.testing.assert_allclose(clips.scores, wanted.scores, atol=1e-5)
        np.testing.assert_allclose(clips.boxes, wanted.boxes, atol=1e-3)
    assert max(len(part[0]) for part in found) <= batch


def test_every_frame_goes_through_the_backbone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, images, seen = detector(), video(31), []
    whole = made.frame_features

    def counted(part: Tensor) -> object:
        seen.append(part)
        return whole(part)

    monkeypatch.setattr(made, "frame_features", counted)
    list(detect_in_video(ClipScorer([stream(made)]), chunks([images], 4), 31, 32, 32))
    assert torch.equal(torch.cat(seen), images)


@pytest.mark.parametrize("stride", [1, 6])
def test_the_frames_that_are_kept_do_not_grow_with_the_video(stride: int) -> None:
    own, batch, size = stream(detector()), 4, 8
    most = 0
    for _ in detect_in_video(
        ClipScorer([own]), chunks([video(120)], size), 120, 32, 32, stride, batch
    ):
        most = max(most, len(own.table or ()))
    assert own.window <= most <= own.window + batch * stride + size


def test_a_video_shorter_than_a_clip_yields_nothing() -> None:
    scorer = ClipScorer([stream(detector())])
    assert list(detect_in_video(scorer, chunks([video(5)], 4), 5, 32, 32)) == []


def test_two_videos_one_after_another_do_not_mix() -> None:
    scorer, images = ClipScorer([stream(detector())]), video(12, seed=1)
    list(detect_in_video(scorer, chunks([video(20)], 4), 20, 32, 32))
    again = list(detect_in_video(scorer, chunks([images], 4), 12, 32, 32))
    fresh = ClipScorer([stream(detector())])
    once = list(detect_in_video(fresh, chunks([images], 4), 12, 32, 32))
    for a, b in zip(again, once, strict=True):
        np.testing.assert_array_equal(a[1].boxes, b[1].boxes)


def test_boxes_are_cut_at_the_edges_of_the_video() -> None:
    boxes = torch.tensor([-0.1, 0.5, 1.2, 1.0]).expand(1, 1, 6, 1, 4)
    found = in_pixels(ClipScores(torch.ones(1, 1, 1), boxes), [3], height=240, width=320)
    np.testing.assert_allclose(found.boxes[0, 0, 0, 0], [0, 120, 320, 240])


def test_preparing_for_inference_changes_no_result() -> None:
    made, images = detector(), video(20)
    before = alone(made, images, [1, 4])
    prepared = prepare_for_inference(detector())
    scorer = ClipScorer([stream(prepared)])
    after = next(detect_in_video(scorer, chunks([images], 20), 20, SIDE, SIDE, 3, 2))
    for step, expected in enumerate(before):
        wanted = in_pixels(expected, [1, 4], SIDE, SIDE)
        np.testing.assert_allclose(after[step].scores, wanted.scores, atol=1e-5)
        np.testing.assert_allclose(after[step].boxes, wanted.boxes, atol=1e-3)


# Fusion.


def parts(seed: int = 0, count: int = 2) -> list[ClipScores]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        corners = torch.rand(2, 3, 1, CLASSES, 2, generator=generator) * 0.5
        boxes = torch.cat([corners, corners + 0.4], dim=-1).expand(2, 3, 6, CLASSES, 4)
        found.append(ClipScores(torch.rand(2, 3, CLASSES, generator=generator) / 4, boxes))
    return found


def test_the_mean_of_equal_networks_is_each_of_them() -> None:
    one = parts()[0]
    fused = mean_by_index([one, one, one], [1.0, 2.0, 0.5])
    torch.testing.assert_close(fused.scores, one.scores)
    assert fused.boxes is one.boxes


def test_weights_weigh() -> None:
    a, b = parts()
    fused = mean_by_index([a, b], [3.0, 1.0])
    torch.testing.assert_close(fused.scores, 0.75 * a.scores + 0.25 * b.scores)
    joined = union([a, b], [1.0, 4.0])
    torch.testing.assert_close(joined.scores[:, :3], a.scores / 4)
    torch.testing.assert_close(joined.scores[:, 3:], b.scores)
    torch.testing.assert_close(joined.boxes[:, 3:], b.boxes)


def test_a_tubelet_is_boosted_by_the_one_that_overlaps_it_most() -> None:
    """Worked case: one clip, one class; the second network's boxes cover 1 and 0.5 of it."""
    box = torch.tensor([0.0, 0.0, 0.4, 0.4])
    half = torch.tensor([0.0, 0.0, 0.4, 0.2])
    far = torch.tensor([0.6, 0.6, 0.9, 0.9])

    def of(*boxes: Tensor) -> Tensor:
        return torch.stack(boxes)[None, :, None, None].expand(1, len(boxes), 6, 1, 4)

    first = ClipScores(torch.tensor([[[0.3]]]), of(box))
    other = ClipScores(torch.tensor([[[0.9], [0.2]]]), of(half, far))
    fused = boost([first, other], [1.0, 2.0])
    # 0.3 + 2 / 1 * 0.5 * 0.9; the covered one is gone; the far one is added at twice its score.
    torch.testing.assert_close(fused.scores[0, :, 0], torch.tensor([1.2, -1.0, 0.4]))
    torch.testing.assert_close(fused.boxes[0, 2], other.boxes[0, 1])


def test_overlaps_are_means_over_the_frames() -> None:
    a = torch.tensor([0.0, 0, 2, 2]).expand(1, 1, 2, 1, 4)
    b = torch.stack([torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2])])
    overlap = tubelet_overlaps(a, b[None, None, :, None])
    assert overlap.item() == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("fusion", ["mean-shared", "mean-index", "hybrid"])
def test_a_network_fused_with_itself_is_itself(fusion: str) -> None:
    images = video(20)
    one = list(detect_in_video(ClipScorer([stream(detector())]), chunks([images], 8), 20, 40, 50))
    streams = [stream(detector()), stream(detector())]
    scorer = ClipScorer(streams, fusion, [0.3, 0.7])
    two = list(detect_in_video(scorer, chunks([images, images], 8), 20, 40, 50))
    for a, b in zip(one, two, strict=True):
        for step in range(2):
            np.testing.assert_allclose(a[step].scores, b[step].scores, atol=1e-5)
            np.testing.assert_allclose(a[step].boxes, b[step].boxes, atol=1e-3)


def test_shared_steps_hand_the_first_networks_boxes_on() -> None:
    """The second network's regression moves nothing, its probabilities count."""
    images, flow = video(20), video(20, channels=15, seed=2)
    rgb, other = detector(), detector(seed=1, inputs="flow")
    scorer = ClipScorer([stream(rgb), stream(other)], "mean-shared", [1.0, 1.0])
    fused = list(detect_in_video(scorer, chunks([images, flow], 8), 20, SIDE, SIDE))
    single = list(detect_in_video(ClipScorer([stream(rgb)]), chunks([images], 8), 20, SIDE, SIDE))
    for a, b in zip(fused, single, strict=True):
        assert np.abs(a[1].scores - b[1].scores).max() > 0.01
        np.testing.assert_allclose(a[1].boxes, b[1].boxes, atol=1e-3)


def test_a_union_has_the_tubelets_of_all() -> None:
    images = video(20)
    scorer = ClipScorer([stream(detector()), stream(detector(1))], "union", [1.0, 1.0])
    found = next(detect_in_video(scorer, chunks([images, images], 20), 20, 40, 50))
    alone_first = next(
        detect_in_video(ClipScorer([stream(detector())]), chunks([images], 20), 20, 40, 50)
    )
    assert found[1].scores.shape[1] == 6
    np.testing.assert_allclose(found[1].scores[:, :3], alone_first[1].scores, atol=1e-5)


def test_portions_suit_the_device_unless_they_are_given() -> None:
    """A GPU gains from more at a time; a CPU only takes more memory."""
    assert portions(0, 0, torch.device("cpu")) == (2, 1)
    assert portions(0, 0, torch.device("cuda")) == (8, 4)
    assert portions(16, 0, torch.device("cpu")) == (16, 1)
    assert portions(0, 3, torch.device("cpu")) == (2, 3)
