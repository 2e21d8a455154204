"""`test.py` on detectors of tubes: files, figures, fusion, refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from external.act_evaluation.inputs import Files
from external.act_evaluation.result import evaluate
from external.figures import percent
from models import open_checkpoint
from recipes import CONFIGS
from recipes.ablation_runs import other_test
from recipes.base import FusionRequest
from recipes.tube_testing import TubeTest
from tests.entries import Script, snapshot
from tests.tube_entries import CLASSES, write_tested_videos, write_tube_checkpoint
from utils.config.loading import load

SCRIPT = "test"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tested_videos(tmp_path_factory.mktemp("tubes") / "toy")


def options(root: Path) -> list[object]:
    """A checkpoint's paths are never used: the user names them."""
    return [
        "--data-root", root, "--device", "cpu", "annotation=annotations/tubes.csv", "flow=flow",
        "test_list=annotations/two.txt",
    ]  # fmt: skip


def test_the_figures_are_those_of_the_files(script: Script, root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    outcome = script("--checkpoint", path, "--output", tmp_path / "out", *options(root))
    assert outcome.code == 0, outcome.err
    assert "protocol act" in outcome.out
    files = snapshot(tmp_path / "out")
    assert sorted(files) == [
        "frames_step1.csv", "frames_step2.csv", "linked.csv", "metrics.json", "truth.csv",
        "tubes.csv",
    ]  # fmt: skip
    metrics = json.loads(files["metrics.json"])
    assert metrics["videos"] == 2
    assert metrics["frames"] == 64
    given = root / "annotations" / "tubes.csv"
    last = metrics["steps"][1]["per_class"]
    assert sum(value is None for value in last.values()) == len(CLASSES) - 2
    for truth, listed in (
        (tmp_path / "out" / "truth.csv", None),
        (given, root / "annotations" / "two.txt"),
    ):
        for step in (1, 2):
            frames, tubes = (tmp_path / "out" / f"{n}.csv" for n in (f"frames_step{step}", "tubes"))
            found = evaluate(Files(truth, frames, tubes, videos=listed))
            expected = metrics["steps"][step - 1]
            assert found.frame == pytest.approx(expected["per_class"], abs=1e-9)
            assert found.video == pytest.approx(metrics["video"]["linked"], abs=1e-9)
            assert found.video_class == pytest.approx(
                metrics["video_per_class"]["linked"], abs=1e-9
            )
            assert f"frame-mAP at 0.5: {percent(expected['mAP'])}" in found.report()
        lacks = next(line for line in outcome.out.splitlines() if "frame-AP lacks" in line)
        assert lacks.replace("the last step's", "the") in found.report().splitlines()


def test_every_file_is_there_before_anything_is_judged(
    script: Script, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from utils.evaluation.tube_evaluator import TubeEvaluator

    def failing(self: TubeEvaluator) -> dict:
        raise ValueError("no judging today")

    monkeypatch.setattr(TubeEvaluator, "evaluate", failing)
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    said = script.refuses("--checkpoint", path, "--output", tmp_path / "out", *options(root))
    assert "no judging today" in said
    assert "tubes.csv" in snapshot(tmp_path / "out")
    assert "metrics.json" not in snapshot(tmp_path / "out")


@pytest.mark.parametrize(
    ("trim", "protocol"), [("multi-state", "road"), ("none", "yowo"), ("two-state", "act")]
)
def test_trimming_and_protocols_are_printed(
    script: Script, root: Path, tmp_path: Path, trim: str, protocol: str
) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    extra = [f"trim={trim}", f"protocol={protocol}", "test_stride=3"]
    outcome = script("--checkpoint", path, "--output", tmp_path / "o", *options(root), *extra)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count(f"protocol {protocol}") == 3  # classes, frames, tubes
    assert "clips at every 3 frames" in outcome.out
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert ("trimmed" in metrics["video"]) == (trim != "none")


@pytest.mark.parametrize("fusion", ["mean-shared", "mean-index", "union", "boost"])
def test_rgb_and_flow_are_fused(script: Script, root: Path, tmp_path: Path, fusion: str) -> None:
    rgb = write_tube_checkpoint(tmp_path / "rgb.pt", root)
    flow = write_tube_checkpoint(tmp_path / "flow.pt", root, seed=1, inputs="flow")
    outcome = script(
        "--checkpoint", rgb, flow, "--fusion", fusion, "--weights", 2, 1, "--output",
        tmp_path / "out", *options(root),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["fusion"] == {"kind": fusion, "weights": [2.0, 1.0]}
    assert metrics["checkpoints"] == [str(rgb), str(flow)]


@pytest.mark.parametrize("fusion", ["", "union"])
def test_figures_say_how_they_were_made(
    script: Script, root: Path, tmp_path: Path, fusion: str
) -> None:
    paths = [write_tube_checkpoint(tmp_path / f"{k}.pt", root, seed=k) for k in (1, 2)]
    paths = paths if fusion else paths[:1]
    given = [*options(root), "test_stride=3", "alpha=[2.5]"]
    kind = ["--fusion", fusion] if fusion else []
    outcome = script("--checkpoint", *paths, "--output", tmp_path / "out", *kind, *given)
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    words = [word for word in map(str, given) if "=" in word]
    wanted = load(CONFIGS, None, words, open_checkpoint(paths[0]).config)
    assert other_test(metrics, wanted, paths, fusion) == {}
    changed = load(CONFIGS, None, ["test_stride=2", "workers=3", "alpha=[1]"], wanted)
    assert other_test(metrics, changed, paths, fusion) == {
        "data.test_stride": "was 3, is 2",
        "test.alpha": "was [2.5], is [1.0]",
    }
    write_tube_checkpoint(paths[-1], root, seed=3)
    assert [*other_test(metrics, wanted, paths, fusion)] == ["checkpoints"]
    assert {*other_test(metrics, wanted, paths, "boost")} == {"checkpoints", "fusion"}


def test_hybrid_takes_rgb_flow_and_early(script: Script, root: Path, tmp_path: Path) -> None:
    kinds = ("rgb", "flow", "early")
    paths = [write_tube_checkpoint(tmp_path / f"{k}.pt", root, inputs=k) for k in kinds]
    base = ["--fusion", "hybrid", "--output", tmp_path / "out", *options(root)]
    assert script("--checkpoint", *paths, *base).code == 0
    said = script.refuses("--checkpoint", *paths[:2], *base)
    assert (
        "hybrid: expected three checkpoints, of RGB, flow and early fusion, got rgb, flow" in said
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proposals": "34"}, r"data.proposals: expected '11', got '34'"),
        ({"steps": 1}, "model.steps: expected 2, got 1"),
        ({"classes": {1: "a", 2: "b"}}, "classes: expected"),
    ],
)
def test_checkpoints_that_do_not_fit_are_not_fused(
    script: Script, root: Path, tmp_path: Path, changes: dict, message: str
) -> None:
    first = write_tube_checkpoint(tmp_path / "a.pt", root)
    other = write_tube_checkpoint(tmp_path / "b.pt", root, **changes)
    said = script.refuses(
        "--checkpoint", first, other, "--fusion", "union", "--output", tmp_path / "o",
        *options(root),
    )  # fmt: skip
    assert f"{other}: cannot be fused with {first}" in said
    assert message.replace("\\", "") in said


def test_options_that_do_not_fit_are_refused(script: Script, root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    base = ["--checkpoint", path, "--output", tmp_path / "o", *options(root)]
    assert "test.alpha: expected one number, or one for each of 6 classes, got 2" in script.refuses(
        *base, "alpha=[1, 2]"
    )
    assert "test.link_step: expected at most 2, got 3" in script.refuses(*base, "link_step=3")
    assert "several checkpoints need --fusion KIND" in script.refuses(*base, "--fusion", "union")
    assert "--weights: expected one for each of 2 checkpoints, got 3" in script.refuses(
        "--checkpoint", path, path, *base[2:], "--fusion", "union", "--weights", 1, 1, 1
    )


def test_an_annotation_of_other_classes_is_refused(
    script: Script, root: Path, tmp_path: Path
) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root, classes={i: f"c{i}" for i in range(1, 7)})
    said = script.refuses("--checkpoint", path, "--output", tmp_path / "o", *options(root))
    assert "its classes are" in said
    assert "annotations/tubes.csv has" in said


def test_a_video_shorter_than_a_clip_is_noted(script: Script, root: Path, tmp_path: Path) -> None:
    """The annotation says that one of the two videos has five frames."""
    facts = root / "annotations" / "tubes.videos.csv"
    rows = facts.read_text().splitlines()
    short = [
        "Wave/v_Wave_g01_c01,5,32,32" if row.startswith("Wave/v_Wave_g01") else row for row in rows
    ]
    content = (root / "annotations" / "tubes.csv").read_text()
    (root / "annotations" / "short.csv").write_text(content)
    (root / "annotations" / "short.videos.csv").write_text("\n".join(short))
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    outcome = script(
        "--checkpoint", path, "--output", tmp_path / "o", *options(root),
        "annotation=annotations/short.csv",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "shorter than a clip of 6 frames, so without tubes: Wave/v_Wave_g01_c01" in outcome.out


def test_a_test_of_short_videos_alone_finds_nothing(
    script: Script, root: Path, tmp_path: Path
) -> None:
    """Both videos have five frames: figures of no detections, not an error."""
    content = (root / "annotations" / "tubes.csv").read_text().splitlines()
    rows = [row for row in content[1:] if int(row.split(",")[1]) <= 5 or "_g01_" not in row]
    (root / "annotations" / "all_short.csv").write_text("\n".join([content[0], *rows]) + "\n")
    facts = (root / "annotations" / "tubes.videos.csv").read_text().splitlines()
    facts = [re.sub(r"(_g01_c01),\d+,", r"\1,5,", row) for row in facts]
    (root / "annotations" / "all_short.videos.csv").write_text("\n".join(facts) + "\n")
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    outcome = script(
        "--checkpoint", path, "--output", tmp_path / "o", *options(root),
        "annotation=annotations/all_short.csv",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "so without tubes: Jump/v_Jump_g01_c01, Wave/v_Wave_g01_c01" in outcome.out
    figures = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert figures["steps"][-1]["mAP"] == 0


def test_checkpoints_of_other_test_videos_are_not_fused(root: Path, tmp_path: Path) -> None:
    """Each run's own list: boxes of one video would be averaged with those of another."""
    (root / "annotations" / "one.txt").write_text("Wave/v_Wave_g01_c01\n")
    members = []
    for name, videos in (("a", "two"), ("b", "one"), ("c", "two")):
        checkpoint = open_checkpoint(write_tube_checkpoint(tmp_path / f"{name}.pt", root))
        data = replace(
            checkpoint.config.data,
            root=str(root),
            annotation="annotations/tubes.csv",
            test_list=f"annotations/{videos}.txt",
        )
        members.append((checkpoint, replace(checkpoint.config, data=data)))
    first, others, same = members
    fusion = FusionRequest("mean-index", [1.0, 1.0])
    with pytest.raises(ValueError, match=r"b\.pt: cannot be fused with .*a\.pt: its test") as error:
        TubeTest(*first, [others], fusion).prepare(torch.device("cpu"))
    assert "(annotations/tubes.csv, annotations/one.txt) are 1, " in str(error.value)
    assert "mean-index of 2" in TubeTest(*first, [same], fusion).prepare(torch.device("cpu"))


def test_weights_without_fusion_are_refused(script: Script, root: Path, tmp_path: Path) -> None:
    path = write_tube_checkpoint(tmp_path / "a.pt", root)
    said = script.refuses("--checkpoint", path, *options(root), "--weights", 2, 3)
    assert "--weights: only with --fusion" in said


def test_another_detector_is_not_fused(script: Script, root: Path, tmp_path: Path) -> None:
    from tests.entries import write_checkpoint

    tubes = write_tube_checkpoint(tmp_path / "a.pt", root)
    other = write_checkpoint(tmp_path / "b.pt")
    said = script.refuses("--checkpoint", tubes, other, "--fusion", "union")
    assert f"{other}: cannot be fused with {tubes}" in said
    said = script.refuses("--checkpoint", other, other, "--fusion", "union")
    assert "test.py cannot fuse checkpoints of" in said


def test_options_behind_a_checkpoint_are_no_checkpoints(script: Script, root: Path) -> None:
    said = script.refuses("--checkpoint", root / "none.pt", "trim=none")
    assert "none.pt: no such checkpoint" in said
    said = script.refuses("--checkpoint", root / "a=b.pt", "--device", "cpu")
    assert "a=b.pt" in said
