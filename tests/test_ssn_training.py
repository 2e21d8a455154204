"""SSN in training: global counts, parts, processes, batch norm, resuming, where weights start."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import load_actionness, load_segment_detector, open_checkpoint
from models.ssn.build import build_actionness, build_segment_detector
from models.ssn.criterion import SegmentCriterion, SegmentSamples
from models.ssn.detector import SegmentOutput
from models.ssn.training import ActionnessPass, SegmentPass, batch_norms, parameter_groups
from recipes.segment_recipes import started
from recipes.training import replay
from tests.runs import losses_of, same_weights, start, weights_of
from tests.segment_runs import arguments, trained, write_segment_data
from utils.config.segments import SegmentTrain
from utils.engine.trainer import Trainer
from utils.formats.checkpoints import read_checkpoint
from utils.structures import ProposalKind

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# All four videos are a batch; without dropout a part draws nothing of its own.
WHOLE = ["batch_size=4", "passes=1", "epochs=3", "dropout=0", "momentum=0.5"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segment_data(tmp_path_factory.mktemp("segments"))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three updates, each of all videos at once."""
    return trained("ssn", data, tmp_path_factory.mktemp("whole"), *WHOLE)


def samples(videos: int, seed: int = 0, counts: torch.Tensor | None = None) -> SegmentSamples:
    """Scores of the eight proposals of each video, random and of some size."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([0, 1, 1, 1, 1, 1, 1, 2]).repeat(videos)
    labels = torch.randint(1, 4, kinds.shape, generator=generator)
    labels[kinds == ProposalKind.BACKGROUND] = 0
    count = len(kinds)
    output = SegmentOutput(
        torch.randn(count, 4, generator=generator),
        torch.randn(count, 3, generator=generator),
        torch.randn(count, 3, 2, generator=generator),
    )
    targets = torch.randn(count, 2, generator=generator)
    counts = kinds.bincount(minlength=3) if counts is None else counts
    return SegmentSamples(output, kinds, labels, targets, counts)


def rows(found: SegmentSamples, low: int, high: int) -> SegmentSamples:
    """The proposals `low` to `high`, of the same whole batch."""
    output = SegmentOutput(*(scores[low:high] for scores in found.output))
    parts = (part[low:high] for part in (found.kinds, found.labels, found.targets))
    return SegmentSamples(output, *parts, found.counts)


def plainly(found: SegmentSamples) -> tuple[float, float, float]:
    """The three losses by loops over videos and proposals, in float64."""
    activity, completeness, regression = (scores.double().numpy() for scores in found.output)
    entropy, hinge, smooth = [], [], []
    for first in range(0, len(found.kinds), 8):
        incomplete = []
        for row in range(first, first + 8):
            kind, label = int(found.kinds[row]), int(found.labels[row])
            if kind != ProposalKind.INCOMPLETE:
                powers = np.exp(activity[row])
                entropy.append(-np.log(powers[label] / powers.sum()))
            if kind == ProposalKind.FOREGROUND:
                hinge.append(max(0.0, 1 - completeness[row, label - 1]))
                for moved, wanted in zip(
                    regression[row, label - 1], found.targets[row].tolist(), strict=True
                ):
                    gap = abs(moved - wanted)
                    smooth.append(0.5 * gap * gap if gap < 1 else gap - 0.5)
            elif kind == ProposalKind.INCOMPLETE:
                incomplete.append(max(0.0, 1 + completeness[row, label - 1]))
        hinge.append(max(incomplete))  # one of six: 0.17 of them, rounded down
    videos = len(found.kinds) // 8
    kept = int(0.17 * 6 * videos)
    return (
        float(np.mean(entropy)),
        sum(hinge) / (videos + kept),
        2 * float(np.mean(smooth)),
    )


@pytest.mark.parametrize("videos", [1, 2, 7])
def test_losses_are_those_of_plain_loops(videos: int):
    found = samples(videos, seed=videos)
    assert [float(v) for v in SegmentCriterion().losses(found)] == pytest.approx(plainly(found))


def test_losses_of_parts_add_up_to_those_of_the_whole():
    # 50 videos: 0.17 of 300 incomplete proposals are 51, of 24 and 276 they are 4 and 46.
    found, criterion = samples(50), SegmentCriterion()
    expected = criterion(found)
    parts = [criterion(rows(found, 0, 32)), criterion(rows(found, 32, 400))]
    for name, value in expected.items():
        assert float(parts[0][name] + parts[1][name]) == pytest.approx(float(value), rel=1e-5), name


def test_a_batch_in_parts_is_a_batch(data: Path, whole: Path, tmp_path: Path):
    parts = trained("ssn", data, tmp_path, *WHOLE, "accumulate=4")
    for a, b in zip(losses_of(whole), losses_of(parts), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    one, other = weights_of(whole), weights_of(parts)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_two_processes_train_as_one(data: Path, whole: Path, tmp_path: Path):
    options = arguments("ssn", data, tmp_path, *WHOLE, "accumulate=2")
    with start(*TWO, "train.py", *options) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    for a, b in zip(losses_of(whole), losses_of(tmp_path / "ssn"), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    one, two = (json.loads((r / "results.json").read_text()) for r in (whole, tmp_path / "ssn"))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["metrics"]["proposals"] == pytest.approx(one["metrics"]["proposals"], rel=1e-4)


def test_a_batch_that_cannot_be_parted_is_refused(data: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"multiple of train\.accumulate=3 times 1 processes"):
        trained("ssn", data, tmp_path, "accumulate=3")


@pytest.mark.parametrize("detector", ["ssn", "actionness"])
def test_six_updates_are_three_and_three_more(data: Path, tmp_path: Path, detector: str):
    # Dropout is on; the rate drops after the fourth.
    options = ["epochs=3", "passes=1", "lr_steps=[2]"]
    one = trained(detector, data, tmp_path / "one", *options)
    stopping = Trainer._is_run_end

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_is_run_end", lambda t: t.state.iteration >= 3 or stopping(t))
        trained(detector, data, tmp_path / "two", *options)
    state = read_checkpoint(tmp_path / "two" / detector / "latest.pt")
    assert state["iteration"] == 3
    assert "momentum_buffer" in state["optimizer"]["state"][0]
    two = trained(detector, data, tmp_path / "two", *options)
    assert same_weights(one, two)
    assert losses_of(one) == losses_of(two)


def test_a_trained_checkpoint_opens_as_what_it_is(data: Path, whole: Path, tmp_path: Path):
    checkpoint = open_checkpoint(whole / "best.pt")
    assert (checkpoint.config.detector, checkpoint.classes) == ("ssn", {1: "blue", 2: "red"})
    detector = load_segment_detector(whole / "best.pt")
    assert (detector.classes, detector.input_side, detector.modality) == (2, 32, "RGB")
    # Of the proposals of 9 segments' ends, 0.3 s before and 0.4 s after, and of windows.
    assert not torch.equal(detector.reg_stats, torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double())
    run = trained("actionness", data, tmp_path, "epochs=1", "modality=Flow")
    assert load_actionness(run / "latest.pt").modality == "Flow"
    with pytest.raises(ValueError, match="unknown detector 'actionness'; did you mean ssn"):
        load_segment_detector(run / "latest.pt")


@pytest.mark.parametrize("modality", ["Flow", "RGBDiff"])
def test_other_modalities_train(data: Path, tmp_path: Path, modality: str):
    run = trained("ssn", data, tmp_path, f"modality={modality}", "epochs=1", "passes=1")
    detector = load_segment_detector(run / "latest.pt")
    assert detector.base_model.maps[0][0].in_channels == {"Flow": 10, "RGBDiff": 15}[modality]


@pytest.mark.parametrize(("detector", "precision"), [("ssn", "bf16"), ("actionness", "fp16")])
def test_mixed_precision_trains_as_full_does(
    data: Path, tmp_path: Path, detector: str, precision: str
):
    options = [*WHOLE, "batch_norm=full", "train_batch_norm=true"]
    full = trained(detector, data, tmp_path / "full", *options)
    mixed = trained(detector, data, tmp_path / "mixed", *options, f"precision={precision}")
    # Eight bits of mantissa: the losses are near, and not the same.
    for a, b in zip(losses_of(full), losses_of(mixed), strict=True):
        assert a == pytest.approx(b, rel=0.05)
    assert losses_of(mixed) != losses_of(full)
    one, two = weights_of(full), weights_of(mixed)
    assert all(two[name].dtype == one[name].dtype for name in one)
    assert all(torch.isfinite(value).all() for value in two.values())


def test_the_best_may_be_chosen_by_detections(data: Path, tmp_path: Path):
    run = trained("ssn", data, tmp_path, "detect=true", "epochs=2", "passes=1", "interval=3")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    judged = [line["mAP"] for line in lines if line["kind"] == "val"]
    assert len(judged) == 2
    assert all(0 <= value <= 1 for value in judged)
    assert read_checkpoint(run / "latest.pt")["best_score"] == max(judged)


def test_a_validation_list_may_lack_a_kind(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Good proposals of few videos leave no background, which training alone needs."""
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    rows = "2 0.9000 0.9000 0.2000 0.4600\n2 0.1000 1.0000 0.3000 0.3300\n"
    text = f"# 1\nb1\n1\n1\n1\n2 0.2000 0.4500\n2\n{rows}"
    (copy / "proposals_test.txt").write_text(text)
    trained("ssn", copy, tmp_path / "run", "iterations=2", "passes=1")
    said = capsys.readouterr().out
    assert "proposals_test.txt: no video has a proposal that is background by the rules" in said
    assert "validation is without (2 foreground, 1 incomplete, 0 background)" in said
    history = (tmp_path / "run" / "ssn" / "results.md").read_text()
    assert "foreground accuracy" in history
    assert "background accuracy" not in history  # of none


def test_a_loss_that_is_not_finite_can_be_repeated(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    with pytest.raises(FloatingPointError, match=r"train\.py --replay \S+pt") as error:
        trained("ssn", data, tmp_path, "lr=1e9", "batch_size=4", "accumulate=2")
    path = re.search(r"--replay (\S+pt)", str(error.value))
    assert path is not None
    replay(Path(path[1]), torch.device("cpu"))
    assert re.search(r"total: (nan|inf)", capsys.readouterr().out)


# ------------------------------------------------------------------------------ layers


@pytest.fixture
def with_norms() -> nn.Module:
    """An actionness classifier of which four layers are batch norm: three, and its last one."""
    torch.manual_seed(0)
    model = build_actionness("tiny2d", width=4)
    for name in ("conv1", "conv2", "conv3"):
        unit = model.base_model.maps.get_submodule(name)
        unit[1] = nn.BatchNorm2d(unit[1].num_channels)
    return model


@pytest.mark.parametrize(("mode", "moving"), [("frozen", 0), ("partial", 1), ("full", 4)])
def test_batch_norm_moves_as_its_mode_says(with_norms, mode: str, moving: int):
    training_pass = ActionnessPass(with_norms, mode).train()
    norms = batch_norms(with_norms)
    before = [norm.running_mean.clone() for norm in norms]
    with_norms.score_segments(torch.rand(2, 5, 3, 32, 32)).sum().backward()
    moved = [not torch.equal(a, n.running_mean) for a, n in zip(before, norms, strict=True)]
    assert moved == [i < moving for i in range(4)]
    assert all(norm.training is (i < moving) for i, norm in enumerate(norms))
    training_pass.eval()
    assert not any(norm.training for norm in norms)


def test_biases_learn_twice_as_fast_and_batch_norm_not_at_all(with_norms):
    started(lambda: with_norms, SegmentTrain(), str)
    names = {id(p): n for n, p in with_norms.named_parameters()}

    def grouped() -> list[set[str]]:
        groups = parameter_groups(with_norms, 0.5, 0.1)
        return [{names[id(p)] for p in group["params"]} for group in groups]

    weights, biases, norms = grouped()
    assert "base_model.maps.conv1.0.weight" in weights
    assert biases == {"classifier_fc.bias"}
    assert norms == {f"base_model.maps.conv{i}.1.{n}" for i in (4, 5) for n in ("weight", "bias")}
    rates = [(g["lr"], g["weight_decay"]) for g in parameter_groups(with_norms, 0.5, 0.1)]
    assert rates == [(0.5, 0.1), (1.0, 0.0), (0.5, 0.0)]
    started(lambda: with_norms, SegmentTrain(train_batch_norm=True), str)
    assert "base_model.maps.conv1.1.weight" in grouped()[2]


def test_features_of_fresh_weights_tell_snippets_apart():
    torch.manual_seed(0)
    detector = build_segment_detector("tiny2d", "RGB", 3, dropout=0.0, width=4)
    snippets = torch.full((16, 3, 64, 64), 128, dtype=torch.uint8)
    snippets += torch.randint(0, 20, snippets.shape, dtype=torch.uint8)
    SegmentPass(detector, "full").train()
    features = detector.features(snippets)
    # What all share is gone, and what differs has the size that the heads want.
    assert features.mean(dim=0).abs().max() < 1e-5
    varied = features.std(dim=0, unbiased=False)
    assert ((varied > 0.9) & (varied < 1.001)).sum() >= 8


def test_gradients_reach_all_that_learns():
    torch.manual_seed(0)
    detector = build_segment_detector("tiny2d", "Flow", 3, width=4)
    training_pass = SegmentPass(detector).train()
    features = detector.features(torch.randint(0, 255, (72, 10, 32, 32), dtype=torch.uint8))
    output = detector.heads(features.reshape(8, 9, -1), torch.ones(8, 2))
    found = samples(1)
    SegmentCriterion()(SegmentSamples(output, found.kinds, found.labels, found.targets,
                                      found.counts))["total"].backward()  # fmt: skip
    for name, parameter in training_pass.named_parameters():
        # The two hinges of a class pull its bias to either side, and may cancel.
        assert parameter.grad is not None, name
        assert name == "detector.completeness_fc.bias" or parameter.grad.abs().sum() > 0, name


def test_training_starts_from_the_weights_of_a_file(
    data: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    # A backbone trained by SSN starts the actionness classifier; no step is taken.
    run = trained("actionness", data, tmp_path, f"init={whole / 'best.pt'}", "lr=0", "epochs=1")
    assert f"tensors from {whole / 'best.pt'}; fresh: " in capsys.readouterr().out
    one, other = weights_of(whole, "best.pt"), weights_of(run)
    names = [name for name in one if name.startswith("base_model.")]
    assert names
    assert all(torch.equal(one[name], other[name]) for name in names)
    with pytest.raises(ValueError, match=r"maps\.conv1\.0\.weight is \[4, 3, 5, 5\], expected \[8"):
        trained("actionness", data, tmp_path, f"init={whole / 'best.pt'}", "width=8", "name=b")
