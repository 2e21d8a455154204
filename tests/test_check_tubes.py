"""Checking an annotation of tubes, with its frames and flow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from data.check import Problems
from data.check.tube_pictures import draw_tube_pictures, persons_on
from data.check.tubes import (
    check_flow_folders,
    check_frame_folders,
    check_splits,
    check_tubes,
    clip_counts,
)
from data.datasets.act_cache import ActCache, write_act_cache
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.ucf101_24 import read_pyannot, read_video_list
from data.flow import encode_field
from data.prepare.numbered import NumberedRecord, write_numbered_record
from tests.entries import Script
from tests.helpers import ROOT, SHARED
from utils.formats.tubes import make_tubes

FOLDER = SHARED / "data" / "ucf24"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no annotation at {FOLDER}")

BOX = np.array([[1.0, 2, 10, 12]])


def annotation(
    tubes: list[tuple[int, int, np.ndarray]],
    counts: tuple[int, ...] = (40, 30),
    sizes: tuple[tuple[int, int], ...] = ((24, 32), (24, 32)),
) -> TubeAnnotations:
    """Videos C/v0, C/v1 and tubes (video, first frame, boxes)."""
    parts = [(video, 0, 1.0, start, boxes) for video, start, boxes in tubes]
    names = [f"C/v{i}" for i in range(len(counts))]
    return TubeAnnotations(["C"], names, np.array(counts), np.array(sizes), make_tubes(parts))


def found(notes: TubeAnnotations) -> Problems:
    problems = Problems()
    check_tubes(notes, problems)
    return problems


def still(frames: int) -> np.ndarray:
    return np.tile(BOX, (frames, 1))


def test_a_sound_annotation_has_no_problem() -> None:
    problems = found(annotation([(0, 1, still(40)), (1, 3, still(20))]))
    assert problems.lines(5) == []


@pytest.mark.parametrize(
    ("notes", "kind", "text"),
    [
        (annotation([(0, 1, still(20)), (1, 1, still(15))], (0, 30)), "number of frames", "C/v0"),
        (
            annotation([(0, 1, still(20)), (1, 1, still(15))], sizes=((24, 32), (0, 0))),
            "size not known",
            "video C/v1",
        ),
        (
            annotation([(0, 1, still(20)), (1, 31, still(15))]),
            "tubes outside their video",
            "video C/v1, tube 0: begins at frame 31, the video has 30",
        ),
        (
            annotation(
                [(0, 1, still(20)), (0, 2, np.add(still(20), [0, 0, 23, 0])), (1, 1, still(15))]
            ),
            "boxes outside the picture",
            "video C/v0, tube 1: 20 boxes, the first at frame 2: [1.0, 2.0, 33.0, 12.0], the video "
            "has 32 x 24 pixels",
        ),
        (
            annotation([(0, 5, np.subtract(still(20), [2, 0, 0, 0])), (1, 1, still(15))]),
            "boxes outside the picture",
            "video C/v0, tube 0: 20 boxes, the first at frame 5",
        ),
    ],
)
def test_errors_are_named(notes: TubeAnnotations, kind: str, text: str) -> None:
    problems = found(notes)
    assert problems.error_count == 1
    ((name, lines),) = problems.errors.items()
    assert kind in name
    assert text in lines[0]


@pytest.mark.parametrize(
    ("notes", "kind", "text"),
    [
        (annotation([(0, 1, still(20)), (1, 1, still(14))]), "under 15 frames", "tube 0: 14 fr"),
        (
            annotation([(0, 1, still(20)), (1, 11, still(21))]),
            "longer than their video",
            "video C/v1, tube 0: ends at frame 31, the video has 30",
        ),
        (annotation([(0, 1, still(20))]), "videos without a tube", "video C/v1"),
        (
            annotation([(0, 1, still(20)), (0, 1, still(20)), (1, 1, still(15))]),
            "identical tubes",
            "video C/v0: tubes 0 and 1",
        ),
        (
            annotation([(0, 1, np.add(still(20), [0, 0, 22, 0])), (1, 1, still(15))]),
            "one pixel past the edge",
            "20 boxes of 1 tubes",
        ),
        (
            annotation([(0, 1, np.tile([4.0, 5, 4, 9], (20, 1))), (1, 1, still(15))]),
            "one row or column of pixels",
            "video C/v0, tube 0: 20 boxes, the first at frame 1",
        ),
    ],
)
def test_warnings_are_named(notes: TubeAnnotations, kind: str, text: str) -> None:
    problems = found(notes)
    assert (problems.error_count, problems.warning_count) == (0, 1)
    ((name, lines),) = problems.warnings.items()
    assert kind in name
    assert text in lines[0]


def test_clips_are_counted() -> None:
    """40 frames at stride 3: starts 1, 4, ..., 34; the tube of frames 7..20 holds 7, 10, 13."""
    notes = annotation([(0, 7, still(14))], (40,), ((24, 32),))
    assert clip_counts(notes) == (
        "12 clips of 6 frames at stride 3: 3 valid, 3 hold a part of a tube only, 6 hold none"
    )


@real
def test_the_real_annotation() -> None:
    """What was measured: 108 tubes under 15 frames, 38 of them in the test list, two pairs."""
    notes = read_pyannot(FOLDER / "pyannot.pkl")
    problems = found(notes)
    kinds = {kind: len(lines) for kind, lines in problems.warnings.items()}
    assert problems.error_count == 0
    assert kinds["tubes under 15 frames, which linking drops"] == 108
    assert kinds["identical tubes"] == 2
    test = found(notes.subset(read_video_list(FOLDER / "testlist01.txt")))
    assert len(test.warnings["tubes under 15 frames, which linking drops"]) == 38


def write_set(folder: Path, frames: tuple[int, int] = (40, 30), flows: int = 30) -> Path:
    image = np.zeros((24, 32, 3), np.uint8)
    done, jpeg = cv2.imencode(".jpg", image)
    assert done
    for video, count in enumerate(frames):
        (folder / "rgb" / "C" / f"v{video}").mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / "rgb" / "C" / f"v{video}" / f"{number:05d}.jpg").write_bytes(jpeg.tobytes())
    flow = encode_field(np.zeros((2, 24, 32), np.float32), "brox")[0]
    (folder / "flow" / "C" / "v1").mkdir(parents=True)
    for number in range(1, flows + 1):
        (folder / "flow" / "C" / "v1" / f"{number:05d}.jpg").write_bytes(flow)
    return folder


def test_frames_that_do_not_fit_are_named(tmp_path: Path) -> None:
    root = write_set(tmp_path, frames=(41, 29))
    notes = annotation([], (40, 30, 9), ((24, 32), (25, 32), (1, 1)))
    problems, steps = Problems(), []
    check_frame_folders(notes, root / "rgb", problems, lambda: steps.append(1))
    assert len(steps) == 3
    folder = root / "rgb" / "C"
    assert problems.warnings == {
        "more frames than annotated; the rest is left out": [
            f"{folder / 'v0'}: 41 frames, annotated are 40"
        ]
    }
    assert problems.errors == {
        "fewer frames than annotated": [f"{folder / 'v1'}: 29 frames, annotated are 30"],
        "frames of another size than annotated": [
            f"{folder / 'v1' / '00001.jpg'}: 32 x 24 pixels, annotated are 32 x 25"
        ],
        "folders of frames missing": [str(folder / "v2")],
    }


def test_frames_and_flow_out_of_line_are_named(tmp_path: Path) -> None:
    """A frame with the wrong number, and a field of another size in the midst."""
    root = write_set(tmp_path)
    (root / "rgb" / "C" / "v1" / "00007.jpg").rename(root / "rgb" / "C" / "v1" / "00099.jpg")
    small = encode_field(np.zeros((2, 20, 32), np.float32), "brox")[0]
    (root / "flow" / "C" / "v1" / "00009.jpg").write_bytes(small)
    problems = Problems()
    check_frame_folders(annotation([]), root / "rgb", problems)
    ((kind, (line,)),) = problems.errors.items()
    assert "not numbered from 1" in kind
    assert "v1/00008.jpg" in line
    problems = Problems()
    notes = annotation([]).subset(["C/v1"])
    check_flow_folders(notes, root / "flow", problems)
    assert not problems.errors
    check_flow_folders(notes, root / "flow", problems, every=True)
    assert problems.errors["flow that does not fit"] == [
        f"{root / 'flow' / 'C' / 'v1' / '00009.jpg'}: flow of 32 x 20 pixels, expected 32 x 24"
    ]


def test_flow_that_does_not_fit_is_named(tmp_path: Path) -> None:
    root = write_set(tmp_path, flows=28)
    problems = Problems()
    check_flow_folders(annotation([]), root / "flow", problems)
    assert problems.errors == {
        "folders of flow missing": [str(root / "flow" / "C" / "v0")],
        "flow that does not fit": [
            f"{root / 'flow' / 'C' / 'v1'}: 28 flow fields, the video has 30 frames"
        ],
    }


def test_a_damaged_image_in_the_midst_is_found_where_all_are_opened(tmp_path: Path) -> None:
    root, notes = write_set(tmp_path), annotation([])
    for kind in ("rgb", "flow"):
        path = root / kind / "C/v1/00003.jpg"
        path.write_bytes(path.read_bytes()[:200])
    few, every = Problems(), Problems()
    for problems, all_images in ((few, False), (every, True)):
        check_frame_folders(notes, root / "rgb", problems, every=all_images)
        check_flow_folders(notes, root / "flow", problems, every=all_images)
    assert few.errors.keys() == {"folders of flow missing"}
    for kind, problem in (("rgb", "unreadable images"), ("flow", "flow that does not fit")):
        (line,) = every.errors[problem]
        assert line.startswith(str(root / kind / "C/v1/00003.jpg"))


def test_the_command_says_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    root = write_set(tmp_path)
    rows = [f"C/v1,{f},1,2,10,12,C,0\n" for f in range(1, 31)]
    rows += [f"C/v0,{f},1,2,10,12,C,0\n" for f in range(1, 11)]
    path = tmp_path / "tubes.csv"
    path.write_text("video,frame,x1,y1,x2,y2,label,tube\n" + "".join(rows))
    facts = "video,frames,height,width\nC/v0,40,24,32\nC/v1,30,24,32\n"
    (tmp_path / "tubes.videos.csv").write_text(facts)
    (tmp_path / "list.txt").write_text("C/v1\n")
    script = Script("scripts/check_data", monkeypatch, capsys)
    outcome = script("--tubes", path, "--frames", root / "rgb")
    assert outcome.code == 0, outcome
    assert "2 videos, 2 tubes, 40 boxes, 70 frames, 1 classes" in outcome.out
    assert "warning: tubes under 15 frames, which linking drops: 1" in outcome.out
    assert f"{path}: 0 errors, 1 warnings" in outcome.out
    assert script("--tubes", path, "--strict").code == 1
    assert script("--tubes", path, "--flow", root / "flow").code == 1
    places = [f"root={tmp_path}", "annotation=tubes.csv", "frames=rgb", "flow=flow"]
    config = ("--config", ROOT / "configs/step/small_tubes.yaml", *places)
    assert script(*config) == outcome
    assert script(*config, "inputs=early").code == 1
    assert "--pictures: model.inputs=flow" in script.refuses(
        *config, "inputs=flow", "--pictures", tmp_path / "p"
    )
    segments = ROOT / "configs" / "ssn" / "thumos14_rgb.yaml"
    assert "is for segments; scripts/ssn/sanity.py" in script.refuses("--config", segments)
    some = ("--tubes", path, "--list", tmp_path / "list.txt")
    assert script(*some, "--flow", root / "flow", "--strict").code == 0
    assert "no such folder" in script.refuses("--tubes", path, "--frames", root / "none")
    assert "go with --tubes" in script.refuses("--frames", root / "rgb")
    record = NumberedRecord("frames", "v1.avi", 9, 30, 24, 32, "", {})
    write_numbered_record(record, root / "rgb" / "C" / "v1")
    assert script("--tubes", path, "--frames", root / "rgb").code == 0
    message = script.refuses("--tubes", path, "--flow", root / "rgb")
    assert f"{root / 'rgb'}: holds frames (as the record of C/v1 says)" in message
    assert "expected flow (--flow)" in message


def test_pictures_show_tubes_on_their_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Frames 32 x 24 are drawn 320 wide: the box 1,2..10,12 spans 10 to 110 by 20 to 130."""
    root = write_set(tmp_path)
    notes = annotation([(0, 5, still(20)), (1, 1, still(10))])
    written = draw_tube_pictures(notes, root / "rgb", tmp_path / "pictures", 5)
    assert [path.name for path in written] == ["tubes_C_v0.png", "tubes_C_v1.png"]
    assert len(draw_tube_pictures(notes, root / "rgb", tmp_path / "pictures", 1)) == 1
    box = persons_on(notes.tubes[notes.tubes.video == 0], 5, 24, 32)[0].box
    np.testing.assert_allclose(np.multiply(box, [320, 240, 320, 240]), [10, 20, 110, 130])
    assert persons_on(notes.tubes, 25, 24, 32) == []
    picture = cv2.imread(str(written[0]))
    assert picture.shape[1] == 3 * 320
    column = picture[:, 9:12].max(axis=(1, 2))  # the left edge of the first panel's box
    assert np.count_nonzero(column) > 200  # 110 pixels in each of two rows
    (tmp_path / "pictures" / "tubes_C_v0.png").unlink()
    path = tmp_path / "tubes.csv"
    rows = [f"C/v0,{f},1,2,10,12,C,0\n" for f in range(1, 31)]
    path.write_text("video,frame,x1,y1,x2,y2,label,tube\n" + "".join(rows))
    script = Script("scripts/check_data", monkeypatch, capsys)
    options = ("--tubes", path, "--pictures", tmp_path / "pictures")
    outcome = script(*options, "--frames", root / "rgb")
    assert "1 pictures in" in outcome.out
    assert (tmp_path / "pictures" / "tubes_C_v0.png").is_file()
    assert "--frames names no folder" in script.refuses(*options)


def test_each_video_has_a_picture_of_its_own(tmp_path: Path) -> None:
    names = ["C/v", "C_V", "C_v", "C_v_2"]
    for name in names:
        (tmp_path / "rgb" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "rgb" / name / "00001.jpg"), np.zeros((24, 32, 3), np.uint8))
    tubes = make_tubes([(video, 0, 1.0, 1, still(1)) for video in range(4)])
    notes = TubeAnnotations(["C"], names, np.ones(4, int), np.array([[24, 32]] * 4), tubes)
    folder = tmp_path / "pictures"
    written = draw_tube_pictures(notes, tmp_path / "rgb", folder, 9)
    assert sorted(path.name for path in folder.glob("*.png")) == [path.name for path in written]
    assert len({path.name.lower() for path in written}) == 4, "also where case does not count"
    assert draw_tube_pictures(notes, tmp_path / "rgb", folder, 1)[0] in written, (
        "whatever the count"
    )


# Splits.


def test_a_video_of_both_lists_of_a_split_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    notes = annotation([(0, 1, still(20)), (1, 1, still(20))])
    both = ActCache(notes, [["C/v1"], ["C/v0", "C/v1"]], [["C/v0"], ["C/v0"]])
    problems = Problems()
    check_splits(both, problems)
    assert dict(problems.warnings) == {
        "training videos that are test videos, too": ["split 2: video C/v0"]
    }
    write_act_cache(both, tmp_path / "own-GT.pkl")
    outcome = Script("scripts/check_data", monkeypatch, capsys)("--tubes", tmp_path / "own-GT.pkl")
    assert outcome.code == 0, outcome
    assert "warning: training videos that are test videos, too: 1" in outcome.out
    assert "split 2: video C/v0" in outcome.out
