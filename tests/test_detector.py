"""The progressive loop: laws that hold whatever the weights."""

import re

import pytest
import torch

from models.layers import MaxPool, same_padding
from tests.helpers import random_boxes, random_clips, tiny_detector
from utils.geometry.boxes import make_valid
from utils.geometry.tubes import extend_tubes
from utils.structures import StepOutput


def detect(detector, clips=1, counts=(6,), seed=0) -> list[StepOutput]:
    proposals = [random_boxes(m, seed=seed + i) for i, m in enumerate(counts)]
    with torch.no_grad():
        return detector(random_clips(detector, clips, seed=seed), proposals)


@pytest.mark.parametrize(
    ("schedule", "steps", "lengths"),
    [
        ("spatial", 3, [3, 3, 3]),
        ("temporal", 4, [3, 3, 9, 9]),
        ("temporal2", 4, [3, 9, 9, 15]),
        ("temporal", 1, [3]),
    ],
)
@pytest.mark.parametrize("extension", ["predict", "extrapolate", "mean"])
def test_every_schedule_gives_its_lengths(schedule, steps, lengths, extension):
    detector = tiny_detector(schedule=schedule, steps=steps, extension=extension)
    outputs = detect(detector)
    assert [list(o.tubes.shape) for o in outputs] == [[6, length, 4] for length in lengths]
    assert all(o.scores.shape == (6, 5) and o.boxes.shape == (6, 4) for o in outputs)
    for output in outputs:
        assert torch.equal(output.boxes, output.tubes[:, output.tubes.shape[1] // 2])


def test_only_heads_before_an_extension_anticipate():
    outputs = detect(tiny_detector(schedule="temporal2", steps=4))
    assert [o.before is not None for o in outputs] == [True, False, True, False]
    assert outputs[2].after.shape == (6, 3, 4)


def test_a_batch_gives_each_clip_its_own_result():
    detector = tiny_detector()
    images = random_clips(detector, 3)
    proposals = [random_boxes(m, seed=m) for m in (4, 1, 7)]
    with torch.no_grad():
        together = detector(images, proposals)
        alone = [detector(images[i : i + 1], [proposals[i]]) for i in range(3)]
    for step, output in enumerate(together):
        for name in ("scores", "tubes", "boxes"):
            parts = torch.cat([single[step][name] for single in alone])
            assert torch.allclose(output[name], parts, atol=1e-4), name


def test_a_clip_without_proposals_is_passed_over():
    detector = tiny_detector()
    outputs = detect(detector, clips=2, counts=(0, 3))
    assert [len(o.boxes) for o in outputs] == [3, 3, 3]
    assert [len(o.boxes) for o in detect(detector, clips=1, counts=(0,))] == [0, 0, 0]


def test_shuffled_proposals_give_shuffled_outputs():
    detector, boxes = tiny_detector(), random_boxes(6)
    images, order = random_clips(detector, 1), torch.tensor([3, 1, 5, 0, 2, 4])
    with torch.no_grad():
        straight, shuffled = detector(images, [boxes]), detector(images, [boxes[order]])
    for a, b in zip(straight, shuffled, strict=True):
        assert torch.allclose(a.scores[order], b.scores, atol=1e-5)
        assert torch.allclose(a.tubes[order], b.tubes, atol=1e-3)


def test_a_step_starts_from_the_valid_extended_tubes_of_the_one_before():
    detector, proposals = tiny_detector(), [random_boxes(5)]
    images = random_clips(detector, 1)
    index = torch.zeros(5, dtype=torch.int64)
    with torch.no_grad():
        outputs = detector(images, proposals)
        features = detector.extract(images)
        second = outputs[1]
        extended = torch.cat([second.before, second.tubes, second.after], dim=1)
        tubes = make_valid(extended, 32, 32)
        again = detector.decode(detector.run_head(2, features, tubes, index), tubes)
    assert not torch.equal(tubes, extended), "nothing was clipped: the test shows nothing"
    assert torch.allclose(again.tubes, outputs[2].tubes, atol=1e-4)
    assert torch.allclose(again.scores, outputs[2].scores, atol=1e-5)


@pytest.mark.parametrize("mode", ["extrapolate", "mean"])
def test_tubes_are_extended_as_regressed_and_then_made_valid(mode):
    # The box leaves the image at the top: y1 is 4, -2, -8. From what is left of it inside, 4, 0, 0,
    # the line and the mean would be others.
    detector = tiny_detector(extension=mode)
    outputs = detect(detector)
    tubes = outputs[1].tubes
    tubes[:] = torch.tensor([[8.0, y, 24, y + 16] for y in (4, -2, -8)])
    handed_on = detector.next_tubes(2, outputs[1], detector.extract(random_clips(detector, 1)))
    extended = extend_tubes(tubes, None, None, mode, 3, 32, 32)
    assert torch.equal(handed_on, make_valid(extended, 32, 32))
    cut_first = extend_tubes(make_valid(tubes, 32, 32), None, None, mode, 3, 32, 32)
    assert not torch.equal(handed_on, make_valid(cut_first, 32, 32))


def test_a_tube_looks_at_the_centre_of_the_window():
    # Steps 1 and 2 of `temporal` see 3 of 9 feature steps; without context and with a backbone
    # whose receptive field is 31 frames wide, the window's first frame cannot reach them.
    detector = tiny_detector(context=False, steps=2, schedule="temporal2", extension="mean")
    images, boxes = random_clips(detector, 1), [random_boxes(4)]
    changed = images.clone()
    changed[:, 0] = 0
    with torch.no_grad():
        before, after = detector(images, boxes), detector(changed, boxes)
    assert torch.equal(before[0].scores, after[0].scores)
    assert not torch.equal(before[1].scores, after[1].scores)


def test_context_is_what_the_classifier_hears_of_the_scene():
    # The box lies in the left half; without context the far right does not matter to it.
    box = [torch.tensor([[0.0, 0, 12, 32]])]
    for context, reaches in ((False, False), (True, True)):
        detector = tiny_detector(context=context, schedule="spatial", steps=1)
        images = random_clips(detector, 1, size=32).repeat(1, 1, 1, 1, 8)
        changed = images.clone()
        changed[..., 200:] = 0
        with torch.no_grad():
            same = torch.equal(detector(images, box)[0].scores, detector(changed, box)[0].scores)
        assert same is not reaches


def test_max_pooling_of_rois_is_another_way():
    align, pool = tiny_detector(), tiny_detector(pool_mode="pool")
    assert pool.pool.mode == "pool"
    assert not torch.equal(detect(align)[0].scores, detect(pool)[0].scores)


def test_outputs_read_by_attribute_and_by_name():
    output = detect(tiny_detector())[0]
    assert output["scores"] is output.scores
    assert list(output) == ["scores", "tubes", "before", "after", "boxes", "class_tubes"]
    with pytest.raises(KeyError, match="scores, tubes, before, after, boxes"):
        output["score"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, p: (x[:, :8], p), "looks at 36 frames, got 8"),
        (lambda x, p: (x[..., :30], p), "divisible by 16, got [32, 30]"),
        (lambda x, p: ((x * 127).long(), p), "expected uint8 or floats [N, frames, 3, H, W]"),
        (lambda x, p: (x.transpose(1, 2), p), "expected uint8 or floats [N, frames, 3, H, W]"),
        (lambda x, p: (x, p * 2), "expected one tensor per clip, 1, got 2"),
        (lambda x, p: (x, [p[0][:, :3]]), "proposals[0]: expected [M, 4], got [6, 3]"),
    ],
)
def test_wrong_input_is_named(change, message):
    detector = tiny_detector()
    with pytest.raises(ValueError, match=re.escape(message)):
        detector(*change(random_clips(detector, 1), [random_boxes(6)]))


def test_same_padding_puts_the_smaller_half_in_front():
    # k - s = 5, 5, 5 -> 2 in front, 3 behind; order of F.pad: W, H, T.
    assert same_padding((7, 7, 7), (2, 2, 2)) == [2, 3, 2, 3, 2, 3]
    assert same_padding((1, 3, 3), (1, 2, 2)) == [0, 1, 0, 1, 0, 0]
    assert same_padding((3, 3, 3), (1, 1, 1)) == [1, 1, 1, 1, 1, 1]


def test_max_pooling_pads_with_zeros_and_rounds_up():
    # One row of -1: padded behind by one zero, 25 -> 13, and the last window sees the zero.
    x = -torch.ones(1, 1, 1, 25, 25)
    y = MaxPool((1, 3, 3), (1, 2, 2))(x)
    assert y.shape == (1, 1, 1, 13, 13)
    assert y[..., :12, :12].eq(-1).all()
    assert y[..., 12, :].eq(0).all()
