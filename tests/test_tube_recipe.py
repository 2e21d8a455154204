"""The recipe of STEP on tubes: runs, resuming, processes, faults, data, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data.datasets.act_cache import splits_from_lists, write_act_cache
from data.datasets.tube_files import read_tube_file
from models import open_checkpoint
from models.backbones.registry import IMAGE_BACKBONES
from models.step.build_tubes import build_for_training
from models.step.frame_detector import FrameDetector
from recipes import CONFIGS
from recipes.step_tubes import STEP_TUBES
from recipes.training import replay
from recipes.tube_data import build_tube_clips, detector_proposals, read_annotations
from tests.entries import Script
from tests.helpers import ROOT
from tests.runs import losses_of, same_weights, start, weights_of
from tests.tube_runs import SMALL, arguments, trained, write_tube_data
from utils.config.loading import load
from utils.config.step_tubes import TubesConfig
from utils.engine.trainer import Trainer
from utils.evaluation.step_quality import StepQuality
from utils.formats.checkpoints import read_checkpoint

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tube_data(tmp_path_factory.mktemp("tubes"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("run"), "iterations=4", "dropout=0.2")


def resolved(data: Path, *more: str, config: str = "small_tubes") -> TubesConfig:
    options = [f"root={data}", "annotation=tubes.csv", "test_list=test.txt", *SMALL, *more]
    return load(CONFIGS, ROOT / f"configs/step/{config}.yaml", options)


def test_a_run_leaves_a_checkpoint_a_log_and_its_results(run: Path):
    checkpoint = open_checkpoint(run / "best.pt")
    assert checkpoint.config.detector == "step_tubes"
    assert checkpoint.classes == {1: "blue", 2: "red"}
    assert isinstance(checkpoint.build(), FrameDetector)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    first = next(line for line in lines if "loss/total" in line)
    for step in ("step1", "step2", "step3"):
        assert first[f"noted/{step}/positives"] >= 1
        assert 0 < first[f"noted/{step}/negatives"] <= 2 * first[f"noted/{step}/positives"]
        assert 0 <= first[f"noted/{step}/iou_before"] <= 1
        assert 0 <= first[f"noted/{step}/recall"] <= 1
        classes = [first[f"noted/{step}/positives/{number}"] for number in (1, 2)]
        assert sum(classes) == pytest.approx(first[f"noted/{step}/positives"])
    assert (run / "results.json").is_file()


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stopping = Trainer._is_run_end
    monkeypatch.setattr(
        Trainer, "_is_run_end", lambda self: self.state.iteration >= 2 or stopping(self)
    )
    trained(data, tmp_path, "iterations=4", "dropout=0.2")
    monkeypatch.undo()
    again = trained(data, tmp_path, "iterations=4", "dropout=0.2")
    assert losses_of(again) == losses_of(run)
    assert same_weights(again, run)


def test_heads_of_further_steps_start_from_the_checkpoints_last(data: Path, tmp_path: Path):
    one = trained(data, tmp_path, "iterations=2", "steps=1", "candidates=annotated")
    model = resolved(data, "steps=3", "extension=predict", "num_classes=2").model
    said: list[str] = []
    detector = build_for_training(model, init=str(one / "best.pt"), say=said.append)
    first, last = (detector.heads[i].state_dict() for i in (0, 2))
    assert all(torch.equal(first[name], last[name]) for name in last)
    weights = read_checkpoint(one / "best.pt")["model"]
    assert torch.equal(first["classifier.weight"], weights["heads.0.classifier.weight"])
    assert "fresh: heads.*.regressor_before" in said[-1]
    assert "heads.*.classifier" not in said[-1]


def test_two_processes_train_as_one(data: Path, tmp_path: Path):
    """Group norm and counts over all processes: the gradient is that of the whole batch."""
    one = trained(data, tmp_path / "one", "iterations=3")
    with start(*TWO, "train.py", *arguments(data, tmp_path / "two", "iterations=3")) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    for a, b in zip(losses_of(one), losses_of(tmp_path / "two/tubes"), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-5)
    ours, theirs = weights_of(one), weights_of(tmp_path / "two/tubes")
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-2, atol=3e-3, msg=name)


def test_a_loss_that_is_not_finite_can_be_computed_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    plain = Trainer.train_step

    def broken(self: Trainer, batch: object) -> object:
        if self.state.iteration == 1:
            self.detector.heads[1].classifier.bias.data.fill_(torch.nan)
        return plain(self, batch)

    monkeypatch.setattr(Trainer, "train_step", broken)
    with pytest.raises(FloatingPointError, match="step2/classification is nan"):
        trained(data, tmp_path, "iterations=3")
    (fault,) = (tmp_path / "tubes").glob("nonfinite_*.pt")
    # Weights that are not finite are no checkpoint's: the file is repaired to be read.
    content = read_checkpoint(fault)
    content["model"]["heads.1.classifier.bias"] = torch.full((3,), 3e38)
    torch.save(content, fault)
    capsys.readouterr()
    replay(fault, torch.device("cpu"))
    out = capsys.readouterr().out
    assert "step1/classification: " in out
    assert "clips: " in out

    del content["batch"]["targets"][0]["real"]
    torch.save(content, fault)
    with pytest.raises(ValueError, match=r"nonfinite_.*\.pt: batch.*real"):
        replay(fault, torch.device("cpu"))


# Data.


def test_splits_are_the_lists_and_training_clips_are_valid(data: Path):
    config = resolved(data)
    assert read_annotations(config, "train").videos == ["blue/b", "red/a"]
    assert read_annotations(config, "val").videos == ["red/c"]
    clips = build_tube_clips(config, "train")
    assert clips.classes == {1: "blue", 2: "red"}
    # Clips of two frames at stride 3, from 1, 4, 7, 10, 13; blue/b's tube begins at frame 3.
    starts = [(clips.annotations.videos[v], s) for v, s in
              zip(clips.clips.video.tolist(), clips.clips.start.tolist(), strict=True)]  # fmt: skip
    assert starts == [("blue/b", s) for s in (4, 7, 10, 13)] + [
        ("red/a", s) for s in (1, 4, 7, 10, 13)
    ]
    assert clips[0].images.shape == (10, 3, 32, 32)
    assert clips.describe(0) == "video blue/b, frame 4"
    assert len(build_tube_clips(config, "val")) == 13
    assert clips.digest() == build_tube_clips(config, "train").digest()
    assert clips.digest() != build_tube_clips(config, "val").digest()


def test_a_label_that_the_label_map_lacks_is_said_of_the_label_map(data: Path):
    names = data / "names.csv"
    names.write_text("1,Red\n2,blue\n")
    with pytest.raises(
        ValueError,
        match=rf"tubes\.csv, line 2: unknown label 'red': {names} \(data\.classes\) has Red, blue$",
    ):
        read_annotations(resolved(data, "classes=names.csv"), "val")


def test_ids_may_have_blanks(tmp_path: Path):
    root = write_tube_data(tmp_path)
    text = (root / "tubes.csv").read_text().replace("red/c", "köln walk 1")
    (root / "tubes.csv").write_text(text)
    facts = root / "tubes.videos.csv"
    facts.write_text(facts.read_text().replace("red/c", "köln walk 1"))
    (root / "test.txt").write_text("köln walk 1\n")
    assert read_annotations(resolved(root), "val").videos == ["köln walk 1"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # all of a tube's frames after the video
        ("*", "+20", r"tubes\.csv: video red/c, tube 0: begins at frame 21, the video has 14"),
        ("red/c,4,8,6,23,25", "red/c,4,-90,6,-1,25", r"red/c, tube 0, frame 4: box \[-90"),
        ("red/c,4,8,6,23,25", "red/c,4,8,40,23,60", r"is outside the picture of 48 x 40 pixels"),
        ("red/c,4,8,6,23,25", "red/c,4,-8,6,48,60", None),  # reaches past it
    ],
)
def test_tubes_outside_their_video_are_refused(
    tmp_path: Path, old: str, new: str, message: str | None
):
    root = write_tube_data(tmp_path)
    lines = (root / "tubes.csv").read_text().splitlines()
    if old == "*":
        for i, line in enumerate(lines):
            video, frame, *rest = line.split(",")
            if video == "red/c":
                lines[i] = ",".join([video, str(int(frame) + 20), *rest])
    text = "\n".join(lines).replace(old, new)
    (root / "tubes.csv").write_text(text + "\n")
    assert message is None or old == "*" or new in text
    if message is None:
        assert read_annotations(resolved(root), "val").videos == ["red/c"]
    else:
        with pytest.raises(ValueError, match=message):
            read_annotations(resolved(root), "val")


@pytest.mark.parametrize("dataset", ["ucf101_24", "jhmdb"])
def test_a_cache_of_another_dataset_is_refused(data: Path, tmp_path: Path, dataset: str):
    """A table is a user's own, whatever the option's default; a cache has its dataset's classes."""
    notes, _ = read_tube_file(data / "tubes.csv")
    cache = tmp_path / "own-GT.pkl"
    write_act_cache(splits_from_lists(notes, [["red/c"]]), cache)
    options = [f"annotation={cache}", "test_list=", f"dataset={dataset}"]
    with pytest.raises(
        ValueError, match=rf"own-GT\.pkl: the annotation of another .*data\.dataset={dataset} has"
    ):
        read_annotations(resolved(data, *options), "train")
    options[-1] = "dataset=own"
    assert read_annotations(resolved(data, *options), "val").videos == ["red/c"]
    with pytest.raises(ValueError, match=r"own-GT\.pkl: split: expected 1 to 1, got 2 \(data\.s"):
        read_annotations(resolved(data, *options, "split=2"), "val")


def test_a_video_whose_length_is_not_known_is_named_with_the_file_that_lacks_it(tmp_path: Path):
    root = write_tube_data(tmp_path)
    facts = root / "tubes.videos.csv"
    facts.write_text(facts.read_text().replace("red/c,14,", "red/c,0,"))
    with pytest.raises(
        ValueError, match=r"tubes\.videos\.csv: video red/c: expected its number of frames and its"
    ):
        read_annotations(resolved(root), "val")


def test_videos_shorter_than_a_clip_can_be_tested_but_not_trained_on(tmp_path: Path):
    root = write_tube_data(tmp_path)
    lines = (root / "tubes.csv").read_text().splitlines()
    kept = [line for line in lines if not line.split(",")[1].isdigit() or line.split(",")[1] == "3"]
    (root / "tubes.csv").write_text("\n".join(kept) + "\n")
    facts = root / "tubes.videos.csv"
    facts.write_text(facts.read_text().replace(",14,", ",3,"))
    config = resolved(root, "clip_steps=6", "validation_stride=3")
    assert len(build_tube_clips(config, "val")) == 0
    with pytest.raises(ValueError, match=r"tubes\.csv: no clip for training: 2 videos, 2 tubes"):
        build_tube_clips(config, "train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["annotation=none.csv"], r"none\.csv: no such file \(data\.annotation\)"),
        (["test_list="], r"tubes\.csv: does not say .* set data\.test_list"),
        (["test_list=unknown.txt"], r"unknown\.txt: not annotated: red/x"),
        (["frames=nowhere"], r"nowhere.*no such folder of frames"),
        (["inputs=flow", "flow=nowhere"], "nowhere"),
        (["image_size=40"], r"data\.image_size: expected a multiple of 16, got 40"),
        (["num_classes=5"], r"has 2 classes, expected model\.num_classes=5"),
        (
            ["backbone=vgg17", "width=64"],
            rf"expected one of {', '.join(IMAGE_BACKBONES)}, got 'vgg17'",
        ),
        (["backbone=vgg16"], r"model\.width: expected 64, .* vgg16, got 4"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(data: Path, options: list[str], message: str):
    (data / "unknown.txt").write_text("red/x\n")
    with pytest.raises(ValueError, match=message):
        build_tube_clips(resolved(data, *options), "val")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("milestones=[30, 20]", "train.milestones: expected rising epochs"),
        ("thresholds=[]", "train.thresholds: expected at least one"),
        ("proposals=12", "data.proposals: expected a grid of 1, "),
        ("schedule=temporal", "expected one of progressive, spatial, long"),
        ("lr=0.1", "two learning rates"),
        ("validation_stride=3", "test.validation_stride: expected at most model.clip_steps=2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, option: str, message: str):
    with pytest.raises(ValueError, match=message):
        resolved(tmp_path, option)


CONFIGURED = [f"{name}_{inputs}" for name in ("ucf101", "jhmdb", "ucfsports")
              for inputs in ("rgb", "flow", "early")]  # fmt: skip


@pytest.mark.parametrize("name", CONFIGURED)
def test_the_papers_setting_is_what_the_files_say(name: str):
    config = load(CONFIGS, ROOT / f"configs/step/{name}.yaml")
    assert isinstance(config, TubesConfig)
    model, train = config.model, config.train
    assert (model.backbone, model.inputs, model.chunks) == ("vgg16", name.split("_")[1], (1, 3, 5))
    assert (model.clip_steps, model.dropout, config.data.image_size) == (6, 0, 400)
    assert (train.batch_size, train.epochs, train.milestones) == (4, 35, [20, 30])
    assert (train.det_lr, train.base_lr, train.weight_decay) == (5e-5, 5e-5, 1e-7)
    assert train.thresholds == [0.2, 0.35, 0.5]
    assert len(detector_proposals(config.data.proposals, 400)) == 11


@pytest.mark.parametrize("name", CONFIGURED)
def test_the_page_names_the_places_that_the_files_read(name: str):
    """Whoever extracts frames and flow as docs/ucf101.md says can train on them."""
    data = load(CONFIGS, ROOT / f"configs/step/{name}.yaml").data
    page = (ROOT / "docs" / "ucf101.md").read_text()
    folder = f"datasets/{data.dataset}"
    assert data.folder == ROOT / folder
    (row,) = [line for line in page.splitlines() if line.strip().startswith(f"| `{folder}`")]
    places = [data.annotation, data.test_list, data.frames, data.flow]
    assert all(f"`{place}`" in row for place in places if place)
    if data.dataset == "ucf101_24":
        assert f"--output {folder}/{data.flow}" in page
        assert f"--output {folder}/{data.frames}" in page


def test_rates_fall_at_the_milestones(data: Path):
    config = resolved(data, "rates=steps", "epochs=7", "milestones=[4, 6]", "det_lr=0.5")
    detector = STEP_TUBES.build_model(
        load(CONFIGS, ROOT / "configs/step/small_tubes.yaml", [*SMALL, "num_classes=2"]), str
    )
    optimizer = STEP_TUBES.build_optimizer(config, detector, 4)
    scheduler = STEP_TUBES.build_scheduler(config, optimizer, 70, 10)
    seen = []
    for _ in range(70):
        seen.append(max(g["lr"] for g in optimizer.param_groups if not g["is_bias"]))
        optimizer.step()
        scheduler.step()
    full = seen[0]
    assert seen[39] == pytest.approx(full)
    assert seen[40] == pytest.approx(0.1 * full)
    assert seen[60:] == pytest.approx([0.01 * full] * 10)


# Step by step.


def test_each_steps_overlap_with_the_annotation_is_written_and_drawn(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    script = Script("scripts/step_quality", monkeypatch, capsys)
    outcome = script("--checkpoint", run / "best.pt", "--output", tmp_path, "train_stride=1")
    assert outcome.code == 0, outcome.err
    quality = json.loads((tmp_path / "step_quality.json").read_text())
    # Of red/c's 14 frames 1 to 10 are annotated: 9 clips of two frames, one actor each.
    assert (quality["clips"], quality["actors"]) == (9, 9)
    stages = quality["overlaps"]["stages"]
    assert [stage["name"] for stage in stages] == ["proposals", "step 1", "step 2", "step 3"]
    assert all(sum(stage["persons"]) == 9 for stage in stages)
    assert all(sum(stage["boxes"]) == 99 for stage in stages)
    assert stages[0]["mean_iou"] == pytest.approx(quality["proposals"]["mean_iou"])
    assert (tmp_path / "step_quality.png").stat().st_size > 5000
    said = script.refuses("--checkpoint", run / "best.pt", "--device", "foo")
    assert "--device: expected cpu, cuda or cuda:<number>, got 'foo'" in said
    assert "replaces" not in outcome.out
    again = script("--checkpoint", run / "latest.pt", "--output", tmp_path, "train_stride=1")
    assert f"{tmp_path}: replaces the results of {run}/best.pt" in again.out, again.err


def test_quality_is_counted_by_hand():
    """Two clips: an actor met exactly, named right; one met by half, named wrong."""
    quality = StepQuality(1)
    truth = torch.tensor([[[0.0, 0, 10, 10]] * 2])
    half, labels = torch.tensor([[[0.0, 0, 10, 5]] * 2]), torch.tensor([1])
    far = torch.tensor([[[50.0, 50, 60, 60]] * 2])
    right, wrong = torch.tensor([[0.1, 0.9], [0.8, 0.0]]), torch.tensor([[0.9, 0.1], [0.0, 0.1]])
    quality.add(truth, labels, [half, torch.cat([truth, far])], [right])
    quality.add(truth, labels, [half, torch.cat([half, far])], [wrong])
    other = StepQuality(1)
    other.add(truth[:0], labels[:0], [half, far], [right[:1]])
    quality.merge([other])
    found = quality.describe()
    assert (found["clips"], found["actors"]) == (3, 2)
    assert found["proposals"] == {"recall": 1.0, "mean_iou": 0.5}
    assert found["steps"] == [{"step": 1, "recall": 1.0, "mean_iou": 0.75, "accuracy": 0.5}]
