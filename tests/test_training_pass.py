"""The training passes: candidates, targets, gradients."""

import pytest
import torch

from models.step.criterion import StepCriterion
from models.step.detector import index_clips
from models.step.training import ClassificationPass, DetectionPass
from tests.helpers import clip_batch, random_boxes, random_clips, random_targets, tiny_detector
from utils.geometry.boxes import decode_boxes, make_valid
from utils.geometry.tubes import replicate_boxes

TAUS = [0.2, 0.35, 0.5]


def run_pass(detector, persons=(2, 1), seeds=(5, 6), **changes):
    clips = len(persons)
    training = DetectionPass(detector, TAUS, **changes)
    proposals = [random_boxes(12, seed=10 + i) for i in range(clips)]
    targets = [random_targets(p, seed=i) for i, p in enumerate(persons)]
    images = random_clips(detector, clips)
    steps = training(clip_batch(images, proposals, targets, seeds))
    return training, steps, (images, proposals, targets)


def test_candidates_are_what_the_detector_hands_on_in_eval_mode():
    detector = tiny_detector(dropout=0.5)
    detector.eval()
    images, proposals = random_clips(detector, 2), [random_boxes(4), random_boxes(6, seed=3)]
    with torch.no_grad():
        outputs = detector(images, proposals)
        features = detector.extract(images)
    detector.train()
    candidates = DetectionPass(detector, TAUS).make_candidates(features, proposals)
    assert detector.heads.training
    assert candidates[1].counts == [4, 6]
    assert torch.allclose(candidates[1].scores, outputs[0].scores)
    handed_on = detector.next_tubes(2, outputs[1], features)
    assert handed_on.shape == (10, 9, 4)
    assert torch.allclose(candidates[2].tubes, handed_on, atol=1e-4)
    first = make_valid(replicate_boxes(torch.cat(proposals), 3), 32, 32)
    assert torch.equal(candidates[0].tubes, first)


def test_targets_decode_to_the_persons_they_came_from():
    detector = tiny_detector().train()
    training, steps, (images, proposals, targets) = run_pass(detector, persons=(2,), seeds=(5,))
    step = steps[0]
    sample = training._sample(
        0, training.make_candidates(detector.extract(images).detach(), proposals)[0], targets, [5]
    )
    boxes = decode_boxes(step.delta_targets, proposals[0][sample.index])
    expected = targets[0].boxes[sample.person]
    assert torch.allclose(boxes[step.delta_mask], expected[step.delta_mask], atol=1e-3)
    assert torch.equal(step.labels[sample.is_positive],
                       targets[0].labels[sample.person[sample.is_positive]])  # fmt: skip
    assert step.labels[~sample.is_positive].eq(0).all()


def test_neighbours_are_taught_only_before_an_extension():
    _, steps, _ = run_pass(tiny_detector().train())
    assert [s.neighbor_deltas is not None for s in steps] == [False, True, False]
    assert steps[1].neighbor_mask.any()
    _, steps, _ = run_pass(tiny_detector(extension="mean").train())
    assert all(s.neighbor_deltas is None for s in steps)


def test_neighbour_targets_are_coded_against_the_first_and_last_chunk():
    # temporal2: step 3 has three chunks and anticipates the clips two seconds away.
    detector = tiny_detector(schedule="temporal2", steps=4).train()
    for name, parameter in detector.named_parameters():
        if "regressor" in name:  # boxes move a little, and none becomes the whole image
            parameter.data.mul_(0.001 if name.endswith("weight") else 0.2)
    training = DetectionPass(detector, [*TAUS, 0.5])
    targets = [random_targets(2, reach=2)]
    targets[0].neighbors[:, 1] += 3.0
    images, proposals = random_clips(detector, 1), [random_boxes(12)]
    steps = training(clip_batch(images, proposals, targets, [5]))
    candidates = training.make_candidates(detector.extract(images).detach(), proposals)
    sample = training._sample(2, candidates[2], targets, [5])
    tubes = candidates[2].tubes[sample.index]
    references = torch.stack([tubes[:, 1], tubes[:, 7]], dim=1)
    assert (tubes[:, 1] - tubes[:, 7]).abs().amax(dim=1).min() > 1
    boxes = decode_boxes(steps[2].neighbor_targets, references)
    expected = targets[0].neighbors[sample.person][:, 1]
    mask = steps[2].neighbor_mask
    assert mask.any()
    # The heads' statistics move between the two candidate passes.
    assert torch.allclose(boxes[mask], expected[mask], atol=0.05)


@pytest.mark.parametrize("freeze", [False, True])
def test_every_trainable_parameter_gets_a_gradient_and_no_frozen_one(freeze):
    detector = tiny_detector(freeze_stats=freeze, freeze_affine=freeze).train()
    _, steps, _ = run_pass(detector)
    StepCriterion()(steps)["total"].backward()
    for name, parameter in detector.named_parameters():
        frozen = freeze and "batch3d" in name
        assert parameter.requires_grad is not frozen, name
        assert (parameter.grad is None) is frozen, name


def test_frozen_statistics_stay_and_free_ones_move():
    for freeze in (True, False):
        detector = tiny_detector(freeze_stats=freeze).train()
        before = detector.backbone.conv1.batch3d.running_mean.clone()
        run_pass(detector)
        assert torch.equal(before, detector.backbone.conv1.batch3d.running_mean) is freeze


def test_the_candidate_pass_leaves_head_statistics_alone():
    detector = tiny_detector().train()
    features = detector.extract(random_clips(detector, 1)).detach()
    before = {k: v.clone() for k, v in detector.heads.state_dict().items()}
    DetectionPass(detector, TAUS).make_candidates(features, [random_boxes(5)])
    assert all(torch.equal(before[k], v) for k, v in detector.heads.state_dict().items())


def test_clips_without_persons_give_no_samples_and_zero_loss():
    detector = tiny_detector().train()
    _, steps, _ = run_pass(detector, persons=(0, 0))
    assert [len(s.logits) for s in steps] == [0, 0, 0]
    total = StepCriterion()(steps)["total"]
    assert total.item() == 0
    total.backward()


def test_a_clip_s_samples_do_not_depend_on_its_place_in_the_batch():
    detector = tiny_detector().eval()
    training = DetectionPass(detector, TAUS)
    images, boxes = random_clips(detector, 2), [random_boxes(12), random_boxes(9, seed=4)]
    targets = [random_targets(2), random_targets(1, seed=9)]
    there = training(clip_batch(images, boxes, targets, [5, 6]))
    back = training(clip_batch(images.flip(0), boxes[::-1], targets[::-1], [6, 5]))
    for a, b in zip(there, back, strict=True):
        assert torch.allclose(a.labels.sum(dim=0), b.labels.sum(dim=0))
        assert torch.allclose(a.logits.sort(dim=0).values, b.logits.sort(dim=0).values, atol=1e-4)


def test_the_cls_pass_labels_jittered_persons_and_background():
    detector = tiny_detector(steps=1, schedule="spatial", clip_steps=9, local_branch=False).train()
    targets = [random_targets(1), random_targets(2, seed=3)]
    batch = clip_batch(random_clips(detector, 2), [], targets, [1, 2])
    steps = ClassificationPass(detector)(batch)
    labels = steps[0].labels
    assert steps[0].deltas is None
    assert torch.equal(labels[0], targets[0].labels[0])
    assert labels.any(dim=1).sum() == 3
    assert len(labels) > 3
    StepCriterion()(steps)["total"].backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)


def test_clip_index_counts_rows():
    index = index_clips([torch.zeros(2, 4), torch.zeros(0, 4), torch.zeros(1, 4)])
    assert index.tolist() == [0, 0, 2]
