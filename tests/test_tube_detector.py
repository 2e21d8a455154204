"""STEP's network for UCF101: what time and frames share, what is per class, what is joined."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from models.step.build_tubes import build_tube_detector
from models.step.features import FrameTable
from models.step.heads import HeadOutput
from models.step.inference import prepare_for_inference
from models.step.outcome import boxes_of_best_action, one_action
from models.step.pooling import TubePooling
from models.step.tube_heads import TubeHead
from tests.helpers import random_boxes
from tests.tube_helpers import SIDE, random_frames, tiny_tube_detector, tiny_tube_model
from utils.geometry.boxes import decode_boxes, make_valid
from utils.geometry.grid import grid_proposals
from utils.geometry.tubes import center_steps, replicate_boxes


def detect(detector, clips=2, seed=0):
    proposals = [grid_proposals(11) * SIDE] * clips
    with torch.no_grad():
        return detector(random_frames(detector, clips, seed), proposals)


@pytest.mark.parametrize(
    ("settings", "chunks"),
    [
        ({}, (1, 3, 5)),
        ({"steps": 4}, (1, 3, 5, 7)),
        ({"extension": "none"}, (1, 1, 1)),
        ({"schedule": "spatial", "extension": "predict"}, (1, 1, 1)),
        ({"schedule": "long"}, (5, 5, 5)),
        ({"extension": "predict", "steps": 2}, (1, 3)),
        ({"context": False, "pool_mode": "align", "extension": "mean"}, (1, 3, 5)),
    ],
)
def test_every_step_says_what_its_schedule_says(settings, chunks):
    detector = tiny_tube_detector(**settings)
    assert detector.chunks == chunks
    assert detector.clip_spec.window_frames == 2 * max(chunks)
    outputs = detect(detector)
    for chunk, output in zip(chunks, outputs, strict=True):
        assert output.scores.shape == (22, 3)
        assert output.tubes.shape == (22, 2 * chunk, 4)
        assert output.class_tubes.shape == (22, 2, 3, 4)
        assert (output.scores.sum(dim=1) < 1).all(), "the background has its share"
    grows = settings.get("extension") == "predict"
    extends = [a < b for a, b in pairwise(chunks)] + [False]
    assert [o.before is not None for o in outputs] == [grows and e for e in extends]


def test_fresh_heads_leave_the_proposals_where_they_are_and_prefer_no_action():
    torch.manual_seed(0)
    detector = build_tube_detector(tiny_tube_model(extension="predict")).eval()
    for output in detect(detector):
        middle = center_steps(output.tubes, 2)[:, 0]
        moved = (middle - torch.cat([grid_proposals(11) * SIDE] * 2)).abs()
        assert moved.max() < 1, "pixels"
        assert (output.scores - 0.25).abs().max() < 0.1


def test_one_set_of_weights_serves_tubes_of_6_18_and_30_frames():
    """A frame that is repeated says what one says: the maximum over time does not count frames.

    Convolutions that see no neighbour in time give every frame of a still tube the same features,
    also at its ends; what is left is the pooling over time.
    """
    torch.manual_seed(0)
    head = TubeHead(4, 3, 6, context_channels=0, global_dim=8, fc_dim=4, local_dim=8, pool_size=3)
    for name in ("global_first", "global_second", "global_third"):
        weight = head.get_submodule(name).weight
        weight.data[:, :, [0, 2]] = 0  # no neighbour in time: no effect of the padding
    one = torch.randn(5, 4, 1, 3, 3)
    index = torch.zeros(5, dtype=torch.int64)
    results = [head(one.expand(-1, -1, frames, -1, -1), None, index) for frames in (6, 18, 30)]
    for frames, result in zip((6, 18, 30), results, strict=True):
        assert result.deltas.shape == (5, frames, 3, 4)
        assert torch.allclose(result.logits, results[0].logits, atol=1e-6)
        first = result.deltas[:, :1].expand_as(result.deltas)
        assert torch.allclose(result.deltas, first, atol=1e-5)


@pytest.mark.parametrize("frames", [6, 18, 30])
def test_the_global_branch_is_adaptive_max_pooling(frames):
    """`nn.AdaptiveMaxPool3d` and convolutions of PyTorch on the joined features, as an oracle."""
    torch.manual_seed(1)
    head = TubeHead(4, 3, 6, context_channels=4, global_dim=8, fc_dim=4, local_dim=8, pool_size=3)
    for parameter in head.parameters():
        parameter.data.normal_(std=0.2)
    pooled, context = torch.randn(5, 4, frames, 3, 3), torch.randn(2, 4, frames, 3, 3)
    clip = torch.tensor([0, 0, 1, 1, 1])
    ours = head(pooled, context, clip)
    joined = torch.cat([pooled, context[clip]], dim=1)
    weight = torch.cat([head.global_first.weight, head.global_context.weight], dim=1)
    x = F.relu(F.conv3d(joined, weight, head.global_first.bias, padding=1))
    x = F.relu(F.conv3d(x, head.global_second.weight, head.global_second.bias, padding=1))
    x = F.relu(F.conv3d(x, head.global_third.weight, head.global_third.bias, padding=1))
    x = torch.nn.AdaptiveMaxPool3d((1, 3, 3))(x)[:, :, 0]
    x = F.conv2d(x, head.global_reduce.weight, head.global_reduce.bias)
    logits = F.linear(x.flatten(1), head.classifier.weight, head.classifier.bias)
    assert torch.allclose(ours.logits, logits, atol=1e-4)


def test_joined_weights_start_as_those_of_one_convolution():
    torch.manual_seed(0)
    head = TubeHead(64, 3, 6, context_channels=64, global_dim=32, fc_dim=4, local_dim=8)
    joined = torch.cat([head.global_first.weight, head.global_context.weight], dim=1)
    expected = torch.nn.init.xavier_normal_(torch.empty_like(joined)).std()
    assert abs(joined.std() / expected - 1) < 0.02


def test_the_box_handed_on_is_the_best_actions_whatever_the_background_says():
    # Logits by hand: background, then actions 0 to 2. The background is the most probable.
    logits = torch.tensor([[9.0, 0.0, 2.0, 1.0], [9.0, 3.0, 2.0, 1.0]])
    scores = one_action(logits)
    assert scores.argmax(dim=1).tolist() == [1, 0]
    assert torch.allclose(scores, logits.softmax(dim=1)[:, 1:])
    tubes = torch.tensor([[[0.0, 0, 9, 9]], [[10.0, 0, 29, 9]]])  # [2, 1, 4]
    deltas = torch.zeros(2, 1, 3, 4)
    deltas[0, 0, 1, 0] = 0.5  # action 1 moves the first tube by half its width, 5 pixels
    deltas[1, 0, 0, 1] = 0.1  # action 0 moves the second one down by a pixel
    handed_on, every = boxes_of_best_action(deltas, tubes, scores)
    assert torch.allclose(handed_on, torch.tensor([[[5.0, 0, 14, 9]], [[10.0, 1, 29, 10]]]))
    assert every.shape == (2, 1, 3, 4)
    for action in range(3):
        expected = decode_boxes(deltas[:, :, action], tubes)
        assert torch.allclose(every[:, :, action], expected)


def test_anticipated_boxes_are_the_best_actions_too():
    detector = tiny_tube_detector(extension="predict")
    tubes = replicate_boxes(random_boxes(4), 2)
    torch.manual_seed(3)
    deltas, around = torch.randn(4, 2, 3, 4) * 0.1, torch.randn(4, 2, 3, 4) * 0.1
    output = detector.decode(HeadOutput(torch.randn(4, 4), deltas, around, -around), tubes)
    best = output.scores.argmax(dim=1)
    for row, action in enumerate(best.tolist()):
        expected = decode_boxes(around[row, :, action], tubes[row])
        assert torch.allclose(output.before[row], expected)
        assert torch.allclose(output.tubes[row], output.class_tubes[row, :, action])


@pytest.mark.parametrize("steps", [1, 2])
def test_a_steps_output_is_that_of_a_shorter_model(steps):
    """Evaluating step s of a model of three is evaluating a model of s with the same weights."""
    detector = tiny_tube_detector()
    short = tiny_tube_detector(steps=steps)
    own = short.state_dict()
    short.load_state_dict({n: v for n, v in detector.state_dict().items() if n in own})
    images, proposals = random_frames(detector, 2), [grid_proposals(11) * SIDE] * 2
    margin = (detector.window_frames - short.window_frames) // 2
    with torch.no_grad():
        outputs = detector(images, proposals)
        alone = short(images[:, margin : margin + short.window_frames], proposals)
    for a, b in zip(outputs[:steps], alone, strict=True):
        assert torch.allclose(a.scores, b.scores, atol=1e-6)
        assert torch.allclose(a.class_tubes, b.class_tubes, atol=1e-3)


def test_frames_are_computed_once_and_shared_by_windows():
    detector = tiny_tube_detector()
    frames, clip = detector.window_frames, detector.clip_steps
    video = random_frames(detector, 2)[:, :, :].flatten(0, 1)[: frames + 4]
    seen = []
    detector.backbone.conv1.register_forward_hook(lambda m, i, o: seen.append(len(o)))
    with torch.no_grad():
        table = FrameTable.join(
            [detector.frame_features(video[:9]), detector.frame_features(video[9:])]
        )
        rows = torch.stack([torch.arange(frames) + start for start in (0, 1, 4)])
        outputs = detector.run_steps(table.windows(rows), [grid_proposals(11) * SIDE] * 3)
        assert sum(seen) == frames + 4
        for number, start in enumerate((0, 1, 4)):
            alone = detector(video[None, start : start + frames], [grid_proposals(11) * SIDE])
            for a, b in zip(outputs, alone, strict=True):
                own = slice(11 * number, 11 * number + 11)
                assert torch.allclose(a.scores[own], b.scores, atol=1e-5)
                assert torch.allclose(a.class_tubes[own], b.class_tubes, atol=1e-3)
    assert len(table[2:5]) == 3
    assert table.to(torch.float16).maps.dtype == torch.float16
    assert clip == 2


@pytest.mark.parametrize("extension", ["extrapolate", "predict", "none"])
def test_made_ready_for_inference_it_says_the_same_about_the_clip(extension):
    plain = tiny_tube_detector(extension=extension)
    fast = prepare_for_inference(copy.deepcopy(plain))
    for step, (a, b) in enumerate(zip(detect(plain), detect(fast), strict=True)):
        assert torch.allclose(a.scores, b.scores, atol=1e-5)
        assert torch.allclose(a.class_tubes, b.class_tubes, atol=1e-3)
        assert torch.allclose(a.boxes, b.boxes, atol=1e-3)
        assert b.tubes.shape[1] == (2 if step == 2 else a.tubes.shape[1])


def test_the_context_is_the_whole_image_pooled_like_a_region():
    pooling = TubePooling("pool", 3, 16)
    maps = torch.randn(2, 4, 5, 5)
    whole = pooling.whole(maps)
    boxes = torch.tensor([[0.0, 0, 80, 80]]).expand(2, -1, -1)  # the whole image as a proposal
    assert torch.equal(whole, pooling(maps, torch.tensor([[0], [1]]), boxes)[:, :, 0])
    # Of 5 cells, and one outside, each third of the side holds two: rows 0-1, 2-3, 4.
    assert whole[0, 0, 0, 0] == maps[0, 0, :2, :2].max()
    assert whole[0, 0, 2, 2] == maps[0, 0, 4:, 4:].max()


def test_without_context_another_background_changes_nothing_inside_a_tube():
    """With context it does: the classifier sees the scene."""
    changed = {}
    for context in (True, False):
        detector = tiny_tube_detector(context=context, schedule="spatial", steps=1)
        images = random_frames(detector, 1)
        proposals = [torch.tensor([[0.0, 0, 7, 7]])]  # within the first cell of the map
        with torch.no_grad():
            features = detector.extract(images)
            before = detector.run_steps(features, proposals)[0].scores
            features.table.maps[:, :, 1, 1] += 5  # far from the proposal
            if context:
                features.table.context = detector.context(features.table.maps)
            after = detector.run_steps(features, proposals)[0].scores
        changed[context] = not torch.allclose(before, after)
    assert changed == {True: True, False: False}


def test_early_fusion_without_flow_is_rgb():
    rgb = tiny_tube_detector(inputs="rgb")
    early = tiny_tube_detector(inputs="early")
    state = rgb.state_dict()
    first = early.backbone.conv1[0].weight.data.zero_()  # [D, 18, k, k]
    first[:, :3] = state["backbone.conv1.0.weight"]
    state["backbone.conv1.0.weight"] = first
    early.load_state_dict(state)
    images = random_frames(early, 2)
    proposals = [grid_proposals(11) * SIDE] * 2
    with torch.no_grad():
        ours, theirs = early(images, proposals), rgb(images[:, :, :3], proposals)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.scores, b.scores, atol=1e-6)
        assert torch.allclose(a.tubes, b.tubes, atol=1e-3)


def test_tubes_are_extended_as_regressed_and_made_valid_afterwards():
    detector = tiny_tube_detector()
    outputs = detect(detector)
    features = detector.extract(random_frames(detector, 2))
    tubes = detector.next_tubes(1, outputs[0], features)
    a, b = outputs[0].tubes[:, 0], outputs[0].tubes[:, 1]  # T = 2: the closed form has T - 1 = 1
    line = torch.stack([a + 2 * (a - b), a + (a - b), a, b, b + (b - a), b + 2 * (b - a)], dim=1)
    expected = make_valid(line.clamp(min=0, max=SIDE - 1), SIDE, SIDE)
    assert torch.allclose(tubes, expected, atol=1e-3)
