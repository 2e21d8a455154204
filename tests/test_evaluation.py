"""The evaluator against hand-worked figures, the command line, and other batchings."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from external.ava_evaluation import read_boxes
from external.ava_evaluation.__main__ import main as evaluate_files
from utils.evaluation.evaluator import StepEvaluator
from utils.evaluation.groundtruth import read_groundtruth
from utils.evaluation.judging import check_judgeable
from utils.evaluation.postprocess import PostProcess
from utils.evaluation.text import format_classes, format_results
from utils.structures import ClipBatch, ClipKey, ClipTargets, StepOutput

CLASSES = {3: "run", 7: "sit", 9: "wave"}
SIZE = (80, 100)
GRID = torch.tensor([[0.0, 0, 50, 80], [50, 0, 100, 80], [0, 0, 100, 80]])


def make_targets(boxes: torch.Tensor, labels: torch.Tensor) -> ClipTargets:
    count = len(boxes)
    return ClipTargets(
        boxes, labels, torch.zeros(count, 0, 2, 4), torch.zeros(count, 0, 2, dtype=torch.bool)
    )


def make_batch(keys: list[ClipKey], targets: list[ClipTargets]) -> ClipBatch:
    images = torch.zeros(len(keys), 1, 3, *SIZE, dtype=torch.uint8)
    return ClipBatch(images, [GRID] * len(keys), targets, keys, [0] * len(keys))


def make_outputs(steps: list[tuple[torch.Tensor, torch.Tensor]]) -> list[StepOutput]:
    return [StepOutput(scores, boxes[:, None], None, None, boxes) for boxes, scores in steps]


def random_data(seed: int = 0, images: int = 6) -> tuple[ClipBatch, list[StepOutput]]:
    """Persons at random, and outputs of two steps near them, with scores that often agree."""
    generator = torch.Generator().manual_seed(seed)
    keys = [ClipKey(f"video{i % 2}", 902 + i) for i in range(images)]
    targets = []
    for i in range(images):
        corner = torch.rand(i % 4, 2, generator=generator) * torch.tensor([60.0, 40.0])
        labels = (torch.rand(i % 4, 3, generator=generator) < 0.5).float()
        targets.append(make_targets(torch.cat([corner, corner + 30], dim=1), labels))
    batch = make_batch(keys, targets)
    steps = []
    for noise in (20, 4):
        boxes = torch.cat([_near(t.boxes, noise, generator) for t in targets])
        scores = torch.rand(len(boxes), 3, generator=generator).mul(40).round() / 40
        steps.append((boxes, scores))
    return batch, make_outputs(steps)


def _near(boxes: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Three boxes: moved copies of `boxes`, and the grid's where those are too few."""
    moved = boxes + noise * torch.randn(boxes.shape, generator=generator)
    return torch.cat([moved, GRID])[:3]


def write_groundtruth(path: Path, batch: ClipBatch) -> Path:
    rows = []
    for key, targets in zip(batch.keys, batch.targets, strict=True):
        for person, (box, labels) in enumerate(zip(targets.boxes, targets.labels, strict=True)):
            x1, y1, x2, y2 = (box / torch.tensor([100.0, 80, 100, 80])).tolist()
            for c in labels.nonzero()[:, 0].tolist():
                label = list(CLASSES)[c]
                cells = f"{x1:.3f},{y1:.3f},{x2:.3f},{y2:.3f},{label},{person}"
                rows.append(f"{key.video},{key.timestamp:04d},{cells}\n")
    path.write_text("".join(rows))
    return path


@pytest.fixture
def one_person(tmp_path: Path) -> tuple[ClipBatch, list[StepOutput], Path]:
    """A person who runs at 902; step 1 finds it with IoU 1/3, step 2 exactly; nobody at 903."""
    person = torch.tensor([[20.0, 20, 40, 40]])
    targets = [make_targets(person, torch.tensor([[1.0, 0, 0]]))]
    targets.append(make_targets(torch.zeros(0, 4), torch.zeros(0, 3)))
    batch = make_batch([ClipKey("v", 902), ClipKey("v", 903)], targets)
    scores = torch.tensor([[0.9, 0.0, 0], [0, 0, 0], [0, 0, 0]]).repeat(2, 1)
    scores[3, 0] = 0.5  # a false positive at 903, of lower score
    first, second = GRID.repeat(2, 1), GRID.repeat(2, 1)
    first[0] = torch.tensor([30.0, 20, 50, 40])
    second[0] = person[0]
    outputs = make_outputs([(first, scores), (second, scores)])
    return batch, outputs, write_groundtruth(tmp_path / "gt.csv", batch)


def test_hand_worked_metrics(one_person: tuple) -> None:
    batch, outputs, truth = one_person
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    metrics = evaluator.evaluate(read_boxes(truth))
    assert [step["mAP"] for step in metrics["steps"]] == [0.0, 1.0]
    assert metrics["steps"][1]["per_class"] == {"run": 1.0, "sit": None, "wave": None}
    # Step 1's best box: 10 x 20 shared, of 600 together. The left half of the image: 400 / 4000.
    assert metrics["steps"][0]["mean_iou"] == pytest.approx(1 / 3)
    assert [step["recall"] for step in metrics["steps"]] == [0.0, 1.0]
    assert metrics["proposals"] == {"recall": 0.0, "mean_iou": pytest.approx(0.1)}
    assert (metrics["key_frames"], metrics["persons"]) == (2, 1)
    assert [step["detections"] for step in metrics["steps"]] == [2, 2]
    json.dumps(metrics, allow_nan=False)


def test_excluded_images_count_nowhere(one_person: tuple, tmp_path: Path) -> None:
    batch, outputs, truth = one_person
    exclusions = tmp_path / "excluded.csv"
    exclusions.write_text("v,0902\n")
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    metrics = evaluator.evaluate(read_boxes(truth), exclusions)
    assert (metrics["key_frames"], metrics["persons"]) == (1, 0)
    assert metrics["proposals"] == {"recall": None, "mean_iou": None}
    assert [step["mAP"] for step in metrics["steps"]] == [None, None]
    # The 2020 state of the evaluation has no exclusions.
    assert evaluator.evaluate(read_boxes(truth), exclusions, "2020")["steps"][1]["mAP"] == 1.0


def test_what_the_evaluation_refuses_is_refused_before_anything_is_detected(tmp_path: Path) -> None:
    truth = tmp_path / "gt.csv"
    for row, protocol, excluded in (
        ("v,902,0.5,0.5,0.1,0.1,1", "2018", None),
        ("v,902.5,0,0,1,1,1", "2018", None),
        ("v,902,0,0,1,1,1", "2019", None),
    ):
        truth.write_text(f"{row[:-1]}{min(CLASSES)}\n")
        with pytest.raises(ValueError, match=r"gt\.csv, line 1|protocol is '2019'"):
            check_judgeable(read_boxes(truth), CLASSES, excluded, protocol)
    truth.write_text("v,902.0,0,0,1,1,1\n")
    for protocol in ("2018", "2020"):
        check_judgeable(read_boxes(truth), CLASSES, {ClipKey("v", 902)}, protocol)


def test_names_with_commas_and_quotes_are_read_back(tmp_path: Path) -> None:
    batch, outputs = random_data(images=2)
    batch.keys = [ClipKey('a, "b"', 902), ClipKey("caf\u00e9/1", 903)]
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    (path, *_) = evaluator.write_detections(tmp_path)
    assert {video for video, _ in read_boxes(path).keys} == {'a, "b"', "caf\u00e9/1"}


@pytest.mark.parametrize("protocol", ["2018", "2020"])
def test_metrics_are_those_of_the_written_files(tmp_path: Path, protocol: str) -> None:
    batch, outputs = random_data(images=40)
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    label_map = tmp_path / "classes.csv"
    label_map.write_text("".join(f"{i},{name}\n" for i, name in CLASSES.items()))
    evaluator = StepEvaluator(CLASSES, PostProcess(score_threshold=0.0))
    evaluator.add(batch, outputs)
    metrics = evaluator.evaluate(read_boxes(truth), protocol=protocol)
    files = evaluator.write_detections(tmp_path)
    assert [file.name for file in files] == ["detections_step1.csv", "detections_step2.csv"]
    for step, file in zip(metrics["steps"], files, strict=True):
        report = tmp_path / "report.json"
        options = ["-l", label_map, "-g", truth, "-d", file, "--json", report]
        assert evaluate_files([str(o) for o in options] + ["--protocol", protocol]) == 0
        said = json.loads(report.read_text())["metrics"]
        assert said["PascalBoxes_Precision/mAP@0.5IOU"] == step["mAP"]
        assert 0 < step["mAP"] < 1
        for name, ap in step["per_class"].items():
            assert said[f"PascalBoxes_PerformanceByCategory/AP@0.5IOU/{name}"] == ap


def test_metrics_judge_coordinates_as_written(tmp_path: Path) -> None:
    # Half of the person's box but for 1e-5 pixels: written as 0.250000 of 0.5, an IoU of 0.5.
    targets = make_targets(torch.tensor([[0.0, 0, 50, 40]]), torch.tensor([[1.0, 0, 0]]))
    batch = make_batch([ClipKey("v", 902)], [targets])
    boxes = torch.tensor([[0.0, 0, 24.99999, 40]]).repeat(3, 1)
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, make_outputs([(boxes, torch.tensor([[0.9, 0, 0]]).repeat(3, 1))]))
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    assert evaluator.evaluate(read_boxes(truth))["steps"][0]["mAP"] == 1.0


def test_recall_counts_boxes_as_clipped_to_the_image(tmp_path: Path) -> None:
    targets = make_targets(torch.tensor([[80.0, 20, 100, 40]]), torch.tensor([[1.0, 0, 0]]))
    batch = make_batch([ClipKey("v", 902)], [targets])
    boxes = torch.tensor([[80.0, 20, 140, 40]]).repeat(3, 1)  # unclipped, an IoU of 1/3
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, make_outputs([(boxes, torch.zeros(3, 3))]))
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    assert evaluator.evaluate(read_boxes(truth))["steps"][0]["mean_iou"] == 1.0


def test_rows_are_written_as_ava_asks(one_person: tuple, tmp_path: Path) -> None:
    batch, outputs, _ = one_person
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    written = evaluator.write_detections(tmp_path)[1].read_text().splitlines()
    assert written[0] == "v,0902,0.200000,0.250000,0.400000,0.500000,3,0.899999976"


def test_batches_do_not_matter_and_an_image_counts_once(tmp_path: Path) -> None:
    batch, outputs = random_data()
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    whole, parts = StepEvaluator(CLASSES), StepEvaluator(CLASSES)
    whole.add(batch, outputs)
    for i in [4, 1, 5, 0, 3, 2, 1]:  # 1 comes twice, as from a sampler that pads
        rows = slice(3 * i, 3 * i + 3)
        part = make_batch([batch.keys[i]], [batch.targets[i]])
        parts.add(part, make_outputs([(o.boxes[rows], o.scores[rows]) for o in outputs]))
    assert len(parts) == len(batch)
    assert parts.evaluate(read_boxes(truth)) == whole.evaluate(read_boxes(truth))


@dataclass
class Persons:
    """What `data.datasets.ava_annotations.Annotations` holds."""

    classes: dict[int, str]
    boxes: np.ndarray
    labels: np.ndarray
    spans: dict[ClipKey, tuple[int, int]]


def test_annotations_give_the_same_as_their_csv_file(tmp_path: Path) -> None:
    batch, outputs = random_data(images=20)
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    ends = np.cumsum([0] + [len(t.boxes) for t in batch.targets]).tolist()
    boxes = torch.cat([t.boxes for t in batch.targets]) / torch.tensor([100.0, 80, 100, 80])
    persons = Persons(
        CLASSES,
        np.round(boxes.double().numpy(), 3),
        torch.cat([t.labels for t in batch.targets]).bool().numpy(),
        {key: (ends[i], ends[i + 1]) for i, key in enumerate(batch.keys)},
    )
    table = read_groundtruth(tmp_path / "gt.pkl", persons)
    assert evaluator.evaluate(table) == evaluator.evaluate(read_groundtruth(truth, persons))


def test_cls_stage_is_judged_on_annotated_boxes(tmp_path: Path) -> None:
    batch, _ = random_data(images=8)
    batch = replace(batch, proposals=[t.boxes for t in batch.targets])
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    labels = torch.cat([t.labels for t in batch.targets])
    evaluator = StepEvaluator(CLASSES, PostProcess(nms_threshold=1.0))
    evaluator.add(batch, make_outputs([(torch.cat(batch.proposals), labels)]))
    step = evaluator.evaluate(read_boxes(truth))["steps"][0]
    assert (step["mAP"], step["recall"]) == (1.0, 1.0)
    assert step["mean_iou"] == pytest.approx(1)


def test_merging_joins_what_the_processes_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, outputs = random_data()
    truth = write_groundtruth(tmp_path / "gt.csv", batch)
    whole, first, second = (StepEvaluator(CLASSES) for _ in range(3))
    whole.add(batch, outputs)
    for evaluator, images in ((first, [0, 1, 2]), (second, [2, 3, 4, 5])):
        for i in images:
            rows = slice(3 * i, 3 * i + 3)
            part = make_batch([batch.keys[i]], [batch.targets[i]])
            evaluator.add(part, make_outputs([(o.boxes[rows], o.scores[rows]) for o in outputs]))
    others = iter([second.proposals, len(outputs), *second.steps])
    monkeypatch.setattr(
        "utils.evaluation.collecting.gather_objects", lambda own: [own, next(others)]
    )
    first.merge()
    assert first.evaluate(read_boxes(truth)) == whole.evaluate(read_boxes(truth))


def test_results_table_puts_steps_beside_the_proposals(one_person: tuple) -> None:
    batch, outputs, truth = one_person
    evaluator = StepEvaluator(CLASSES)
    evaluator.add(batch, outputs)
    metrics = evaluator.evaluate(read_boxes(truth))
    lines = format_results(metrics).splitlines()
    assert lines[2].split() == ["proposals", "-", "0.00", "%", "0.100", "-"]
    assert lines[4].split() == ["step", "2", "100.00", "%", "100.00", "%", "1.000", "2"]
    assert format_classes(metrics).splitlines()[1].split() == ["run", "0.00", "%", "100.00", "%"]
