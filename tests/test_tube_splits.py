"""Which videos STEP on tubes is trained and tested on: lists, ACT's caches, what is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.datasets.act_cache import ActCache, write_act_cache
from data.datasets.tube_files import read_tube_file
from recipes import CONFIGS
from recipes.tube_data import build_tube_clips, read_annotations
from tests.helpers import ROOT
from tests.tube_runs import FRAMES, SMALL, write_tube_data
from utils.config.loading import load
from utils.config.step_tubes import TubesConfig


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tube_data(tmp_path)


def resolved(data: Path, *more: str) -> TubesConfig:
    options = [f"root={data}", "annotation=tubes.csv", "test_list=test.txt", *SMALL, *more]
    return load(CONFIGS, ROOT / "configs/step/small_tubes.yaml", options)


def test_a_training_list_names_annotated_videos(data: Path, capsys: pytest.CaptureFixture[str]):
    (data / "train.txt").write_text("red/a\nred/unknown\n")
    config = resolved(data, "train_list=train.txt")
    with pytest.raises(ValueError, match=r"train\.txt: not annotated: red/unk.*data\.train_list"):
        read_annotations(config, "train")
    (data / "train.txt").write_text("red/a\nred/c\n")
    assert read_annotations(config, "train").videos == ["red/a", "red/c"]
    assert "1 training videos are test videos, too: red/c" in capsys.readouterr().out


def cached(root: Path, train: list[str], test: list[str]) -> list[str]:
    """Options that read `root`'s annotation from a cache of ACT's that has these lists."""
    annotations, _ = read_tube_file(root / "tubes.csv")
    write_act_cache(ActCache(annotations, [train], [test]), root / "x-GT.pkl")
    return ["annotation=x-GT.pkl", "test_list=", "dataset=mine"]


def test_a_training_list_goes_before_the_cache_s(data: Path, capsys: pytest.CaptureFixture[str]):
    options = cached(data, ["red/a", "blue/b"], ["red/c"])
    assert read_annotations(resolved(data, *options), "train").videos == ["blue/b", "red/a"]
    (data / "train.txt").write_text("blue/b\n")
    options.append("train_list=train.txt")
    assert read_annotations(resolved(data, *options), "train").videos == ["blue/b"]
    assert read_annotations(resolved(data, *options), "val").videos == ["red/c"]
    (data / "train.txt").write_text("blue/d\n")
    with pytest.raises(ValueError, match=r"train\.txt: not annotated: blue/d.*data\.train_list"):
        read_annotations(resolved(data, *options), "train")
    assert "test videos, too" not in capsys.readouterr().out


def test_a_cache_with_test_videos_in_training_is_noted(
    data: Path, capsys: pytest.CaptureFixture[str]
):
    options = cached(data, ["red/a", "blue/b"], ["red/c"])
    read_annotations(resolved(data, *options), "train")
    assert "note" not in capsys.readouterr().out
    options = cached(data, ["red/a", "red/c"], ["red/c"])
    read_annotations(resolved(data, *options), "val")
    assert "note" not in capsys.readouterr().out
    assert "red/c" in read_annotations(resolved(data, *options), "train").videos
    assert "note: 1 training videos are test videos, too: red/c" in capsys.readouterr().out


def test_ucf_sports_has_ten_classes(data: Path):
    options = [*cached(data, ["red/a"], ["red/c"])[:2], "dataset=ucfsports"]
    message = (
        r"x-GT\.pkl: the annotation of another dataset: 2 classes .*ucfsports has 10; set data"
    )
    with pytest.raises(ValueError, match=message):
        read_annotations(resolved(data, *options), "train")


def test_more_frames_than_annotated_are_noted(data: Path, capsys: pytest.CaptureFixture[str]):
    facts = data / "tubes.videos.csv"
    facts.write_text(facts.read_text().replace(f"red/c,{FRAMES},", f"red/c,{FRAMES - 2},"))
    build_tube_clips(resolved(data), "train")
    assert "more frames" not in capsys.readouterr().out
    build_tube_clips(resolved(data), "val")
    said = f"1 videos have more frames than annotated, which are not used: red/c has {FRAMES}, anno"
    assert f"note: {data / 'rgb-images'}: {said}" in capsys.readouterr().out
