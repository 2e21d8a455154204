"""One way to open a checkpoint: read once, built when asked, ours and the release's."""

from pathlib import Path

import pytest
import torch

import models.registry
from models import load_detector, open_checkpoint
from tests.entries import CLASSES, write_checkpoint
from tests.helpers import needs_shared, released_checkpoint


def test_a_checkpoint_says_what_it_is_before_anything_is_built(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.pt", root="/elsewhere", image_size=64)
    content = torch.load(path)
    del content["model"]["heads.0.classifier.weight"]
    torch.save(content, path)
    checkpoint = open_checkpoint(path)
    assert (checkpoint.config.data.root, checkpoint.config.data.image_size) == ("", 64)
    assert (checkpoint.classes, checkpoint.is_released) == (CLASSES, False)
    with pytest.raises(ValueError, match=r"a\.pt: does not fit the model: heads\.0\.classifier"):
        checkpoint.build()


def test_the_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = write_checkpoint(tmp_path / "a.pt"), []
    original = models.registry.read_checkpoint
    monkeypatch.setattr(models.registry, "read_checkpoint", lambda p: read.append(p) or original(p))
    checkpoint = open_checkpoint(path)
    first, second = checkpoint.build(), checkpoint.build()
    assert (checkpoint.config.model.num_classes, len(checkpoint.classes)) == (3, 3)
    assert read == [path]
    assert first is not second
    assert not first.training
    for name, value in load_detector(path).state_dict().items():
        assert torch.equal(first.state_dict()[name], value)
        assert torch.equal(second.state_dict()[name], value)


def test_weights_that_do_not_fit_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.pt")
    content = torch.load(path)
    content["config"]["model"] |= {"width": 1024, "fc_dim": 4096, "local_dim": 8192}
    torch.save(content, path)
    checkpoint, built = open_checkpoint(path), []
    original = checkpoint._build
    checkpoint._build = lambda config: built.append(original(config)) or built[-1]
    with pytest.raises(ValueError, match="does not fit the model"):
        checkpoint.build()
    (detector,) = built
    assert all(weight.is_meta for weight in detector.parameters())


@needs_shared
def test_the_release_s_layout_is_opened_the_same_way(tmp_path: Path) -> None:
    torch.save(released_checkpoint(), tmp_path / "step.pth")
    checkpoint = open_checkpoint(tmp_path / "step.pth")
    assert checkpoint.is_released
    assert (checkpoint.config.train.task, checkpoint.config.model.steps) == ("step", 3)
    assert checkpoint.classes is not None
    assert checkpoint.classes[12] == "stand"
    detector = checkpoint.build()
    assert all(head.anticipates for head in detector.heads)
