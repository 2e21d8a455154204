"""Activation checkpointing of the backbone: less is kept, and nothing else changes."""

import copy

import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.helpers import random_clips, tiny_detector


def gradients(detector, recompute):
    """Gradients, running statistics, and bytes that the forward pass kept for the backward."""
    detector.backbone.recompute = recompute
    clips, kept = random_clips(detector, 2), {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = detector.extract(clips).maps
    maps.square().sum().backward()
    grads = {n: p.grad for n, p in detector.backbone.named_parameters() if p.grad is not None}
    return grads, dict(detector.backbone.named_buffers()), sum(kept.values())


def test_gradients_and_statistics_are_the_same_with_less_kept():
    plain = tiny_detector().train()
    other = copy.deepcopy(plain)
    grads, buffers, bytes_kept = gradients(plain, recompute=False)
    again, buffers_again, fewer = gradients(other, recompute=True)
    assert grads.keys() == again.keys()
    assert all(torch.equal(grads[name], again[name]) for name in grads)
    # A second pass over the same batch must not count in the running statistics.
    assert all(torch.equal(buffers[name], buffers_again[name]) for name in buffers)
    assert any("running_mean" in name for name in buffers)
    assert fewer < 0.6 * bytes_kept


def test_without_gradients_nothing_is_done_twice():
    detector = tiny_detector().eval()
    clips = random_clips(detector, 1)
    with torch.no_grad():
        expected = detector.extract(clips).maps
        detector.backbone.recompute = True
        assert torch.equal(expected, detector.extract(clips).maps)
