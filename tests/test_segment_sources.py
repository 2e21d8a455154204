"""Annotation of one's own as people have it: without durations, in folders, names of any kind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.datasets.segment_set import read_segment_set
from data.datasets.segment_sources import open_annotations
from data.datasets.segment_writing import activitynet_json
from data.prepare.snippet_frames import SnippetSettings
from data.video.writer import write_video
from recipes.ssn_testing import read_annotated
from tests.segment_runs import FPS, SECONDS, write_segment_data
from utils.config.segments import SegmentData
from utils.config.ssn import SSNConfig

HEADER = "video,start,end,label\n"
ROWS = "kitchen_morning_001,1,2,fry\ngarden_morning_001,0.5,1.5,dig\n"


def film(path: Path, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [np.full((32, 48, 3), 9 * i % 255, np.uint8) for i in range(round(10 * seconds))]
    write_video(path, images, 10)
    return path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def record(folder: Path, duration: float) -> None:
    """As scripts/ssn/extract.py leaves it."""
    content = {
        "kind": "snippets", "source": f"{folder.name}.mp4", "bytes": 1, "files": 1, "height": 8,
        "width": 8, "made_by": "x", "settings": SnippetSettings().__dict__, "fps": 10.0,
        "duration": duration,
    }  # fmt: skip
    written(folder / "extraction.json", json.dumps(content))


def test_durations_are_those_of_the_frames_or_of_the_videos(tmp_path: Path):
    table = written(tmp_path / "segments_train.csv", HEADER + ROWS)
    record(tmp_path / "frames" / "kitchen_morning_001", 7.25)
    film(tmp_path / "videos" / "garden_morning_001.mp4", 3)
    found = open_annotations(table, "train")
    assert found.durations == pytest.approx(
        {"kitchen_morning_001": 7.25, "garden_morning_001": 3.0}
    )
    elsewhere = written(tmp_path / "tables" / "a.csv", HEADER + ROWS)
    with pytest.raises(ValueError, match="its 2 videos have no duration, such as kitchen") as none:
        open_annotations(elsewhere, "train")
    assert str(none.value).startswith(f"{elsewhere}: ")
    assert f"extraction.json, or their files, in {tmp_path}/tables/frames or" in str(none.value)
    given = tmp_path / "videos"
    # A video that is not there is counted, and its class stays a class.
    part = open_annotations(elsewhere, "train", given)
    assert part.classes == ["dig", "fry"]
    assert part.segments["garden_morning_001"][0].label == 0
    assert "left out: 1 of videos without frames or file" in part.counts()
    record(given / "kitchen_morning_001", 8)
    assert open_annotations(elsewhere, "train", given).durations["kitchen_morning_001"] == 8
    # A column is believed, whatever lies beside the table.
    stated = written(
        tmp_path / "b.csv", HEADER.strip() + ",duration\ngarden_morning_001,0,1,dig,99\n"
    )
    assert open_annotations(stated, "train").durations == {"garden_morning_001": 99.0}


def test_a_video_may_be_called_by_its_file(tmp_path: Path):
    """In any folder, on any system, and in either form of Unicode."""
    film(tmp_path / "videos" / "cafe\u0301.MP4", 2)
    film(tmp_path / "videos" / "a.v2.mp4", 2)
    rows = "D:\\videos\\caf\u00e9.mp4,0,1,run\nvideos/a.v2.mp4,0,1,run\n"
    found = open_annotations(written(tmp_path / "a.csv", HEADER + rows), "train")
    assert found.durations == pytest.approx({"caf\u00e9": 2.0, "a.v2": 2.0})


def test_a_segment_after_the_end_of_its_file_names_the_line(tmp_path: Path):
    film(tmp_path / "videos" / "a.mp4", 2)
    table = written(tmp_path / "a.csv", f"{HEADER}a,0,1,run\na,2.5,3,run\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 3: starts at 2\.5 s, video a lasts 2 s"):
        open_annotations(table, "train")


def test_a_folder_holds_tables_or_a_json_or_thumos14(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"holds no annotation: expected segments_test\.csv or seg"
    ):
        open_annotations(tmp_path, "test")
    rows = [("a", 1.0, 2.0, "run"), ("b", 3.0, 4.0, "sit")]
    lengths = {"a": 9.0, "b": 8.0}
    subsets = {"a": "training", "b": "validation"}
    written(tmp_path / "segments.json", activitynet_json(rows, lengths, subsets))
    assert list(open_annotations(tmp_path, "test").segments) == ["b"]
    head = HEADER.strip() + ",duration\n"
    written(tmp_path / "segments_train.csv", f"{head}a,1,2,run,9\nc,1,2,jump,9\n")
    written(tmp_path / "segments_test.csv", f"{head}b,3,4,run,9\n")
    assert open_annotations(tmp_path, "train").classes == ["jump", "run"]
    # The test table lacks a class, and its labels mean what those of training mean.
    tested = open_annotations(tmp_path, "test")
    assert tested.classes == ["jump", "run"]
    assert [s.label for s in tested.segments["b"]] == [1]
    written(tmp_path / "segments_test.csv", f"{head}b,3,4,fly,9\n")
    with pytest.raises(ValueError, match=r"segments_test\.csv, line 2: unknown label 'fly'"):
        open_annotations(tmp_path / "segments_test.csv", "test")
    written(tmp_path / "test_durations.txt", "")
    with pytest.raises(ValueError, match=r"test_avoid_videos\.txt: no such file"):
        open_annotations(tmp_path, "test")


@pytest.mark.parametrize(
    ("names", "prefix", "youtube"),
    [
        (["kitchen_morning_001", "garden_morning_001", "x" * 12, "a4"], "", False),
        (["-a_B0123456", "_a_B0123456", "x" * 11, "0" * 11], "v_", True),
    ],
)
def test_only_ids_of_youtube_are_the_ends_of_names(
    tmp_path: Path, names: list[str], prefix: str, youtube: bool
):
    """Names of one's own may end alike."""
    data = write_segment_data(tmp_path / "data", flow=False)
    called = dict(zip(["a1", "a2", "a3", "a4"], names, strict=True))
    found = open_annotations(data / "segments_train.csv", "train")
    rows = [
        (called[video], s.start, s.end, found.classes[s.label])
        for video, segments in found.segments.items()
        for s in segments
    ]
    lengths = dict.fromkeys(names, float(SECONDS))
    text = activitynet_json(rows, lengths, dict.fromkeys(names, "training"))
    written(data / "segments.json", text)
    assert open_annotations(data / "segments.json", "train").youtube == youtube
    path = data / "proposals_train.txt"
    for old, new in called.items():
        (data / "frames" / old).rename(data / "frames" / (prefix + new))
        path.write_text(path.read_text().replace(f"\n{old}\n", f"\n{new}\n"))
    options = SegmentData(root=str(data), annotation="segments.json", frame_size=[])
    videos = read_segment_set(options, "train", "RGB").videos
    assert [v.video for v in videos] == names
    assert {v.frames for v in videos} == {FPS * SECONDS}


def test_a_test_table_of_other_classes_is_refused(tmp_path: Path):
    """Its lists would count labels by another order."""
    data = write_segment_data(tmp_path / "data", flow=False)
    shutil.copy(data / "segments_test.csv", data / "own.csv")
    options = SegmentData(root=str(data), annotation="segments_train.csv", frame_size=[])
    options.val_annotation = "own.csv"
    read_segment_set(options, "val", "RGB")
    text = (data / "own.csv").read_text()
    written(data / "own.csv", "".join(r for r in text.splitlines(True) if ",red," not in r))
    with pytest.raises(ValueError, match=r"own\.csv has the classes blue \(1\), .*blue, red \(2\)"):
        read_segment_set(options, "val", "RGB")
    # By the names of the two tables training's classes are known.
    (data / "own.csv").replace(data / "segments_test.csv")
    options.val_annotation = "segments_test.csv"
    assert read_segment_set(options, "val", "RGB").classes == {1: "blue", 2: "red"}


def test_a_test_video_that_is_gone_needs_no_duration(tmp_path: Path):
    data = write_segment_data(tmp_path / "data", flow=False)
    for split, letter in (("train", "a"), ("test", "b")):
        path = data / f"segments_{split}.csv"
        path.write_text(path.read_text().replace(f",{SECONDS}\n", "\n").replace(",duration", ""))
        for video in sorted(data.glob(f"frames/{letter}*")):
            record(video, SECONDS)
    shutil.rmtree(data / "frames" / "b2")
    options = SegmentData(root=str(data), annotation=".", frame_size=[])
    assert set(read_segment_set(options, "val", "RGB").truth) == {"b1", "b2"}
    assert read_annotated(SSNConfig(data=options)).durations == {"b1": SECONDS}


def test_ground_truth_is_that_of_the_list_and_of_all_its_videos(tmp_path: Path):
    """As the list has it, not rounded to frames, and of videos without frames, too."""
    data = write_segment_data(tmp_path / "data", flow=False)
    options = SegmentData(root=str(data), annotation=".", frame_size=[])
    path = data / "proposals_test.txt"
    path.write_text(path.read_text().replace("0.2000 0.4500", "0.2013 0.4527", 1))
    shutil.rmtree(data / "frames" / "b2")
    found = read_segment_set(options, "val", "RGB")
    assert [v.video for v in found.videos] == ["b1"]
    assert f"1 of 2 videos are not in {data / 'frames'}: b2" in found.note
    assert set(found.truth) == {"b1", "b2"}
    spans, labels = found.truth["b1"]
    np.testing.assert_allclose(spans, [[0.2013, 0.4527]])
    assert labels.tolist() == [1]
