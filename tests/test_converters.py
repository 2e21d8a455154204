"""Annotation of other tools, to AVA's files: every format, key frames, refusals, command line."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from data.annotations import read_annotations
from data.converters import (
    Choice,
    Converted,
    Media,
    read_marks,
    to_ava,
    write_ava,
    write_label_map,
)
from data.video_file import write_video
from tests.entries import Script
from tests.helpers import ROOT, SHARED, needs_shared
from utils.labels import read_label_map
from utils.structures import ClipKey

FULL_HD = Media(fps=Fraction(30), size=(1080, 1920))


def convert(path: Path, media: Media = FULL_HD, **options: object) -> Converted:
    marks, left_out = read_marks(path, media, Choice(**options))
    return to_ava(marks, media, left_out=left_out)


def rows_of(converted: Converted) -> list[tuple]:
    """Rows with the action's name in place of its id, boxes rounded to read well."""
    return [
        (video, second, tuple(round(v, 3) for v in box), converted.classes[action], person)
        for video, second, box, action, person in converted.rows
    ]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


# ---------------------------------------------------------------------------- CVAT

META = """<meta><task><id>5</id><name>my task</name><source>clips/kitchen.mp4</source><labels>
  <label><name>person</name><attributes>
    <attribute><name>pose</name><input_type>select</input_type></attribute>
    <attribute><name>talk</name><input_type>checkbox</input_type></attribute>
    <attribute><name>age</name><input_type>number</input_type></attribute>
  </attributes></label><label><name>wave</name></label></labels>
  <original_size><width>200</width><height>100</height></original_size></task></meta>"""


def box(frame: int, corners: tuple[float, ...], attributes: str = "", outside: int = 0) -> str:
    names = zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
    sides = " ".join(f'{name}="{value}"' for name, value in names)
    return f'<box frame="{frame}" outside="{outside}" {sides}>{attributes}</box>'


def attribute(name: str, value: object) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def cvat(folder: Path, *tracks: str, meta: str = META) -> Path:
    return written(folder, "a.xml", f"<annotations>{meta}{''.join(tracks)}</annotations>")


def test_cvat_tracks_are_persons_and_attributes_actions(tmp_path: Path) -> None:
    walks = attribute("pose", "walk") + attribute("talk", "true") + attribute("age", 30)
    sits = attribute("pose", "sit") + attribute("talk", "false") + attribute("age", 30)
    boxes = [
        box(30, (20, 10, 60, 90), walks),
        box(31, (21, 10, 61, 90), walks),  # between key frames
        box(60, (22, 10, 62, 90), sits),
        box(90, (22, 10, 62, 90), sits, outside=1),
    ]
    track = f'<track id="7" label="person">{"".join(boxes)}</track>'
    wave = f'<track id="8" label="wave">{box(60, (0, 0, 200, 50))}</track>'
    converted = convert(cvat(tmp_path, track, wave))
    assert rows_of(converted) == [
        ("kitchen", 1, (0.1, 0.1, 0.3, 0.9), "talk", 7),
        ("kitchen", 1, (0.1, 0.1, 0.3, 0.9), "walk", 7),
        ("kitchen", 2, (0.11, 0.1, 0.31, 0.9), "sit", 7),
        ("kitchen", 2, (0, 0, 1, 0.5), "wave", 8),
    ]
    assert converted.left_out.lines() == [
        f"1 boxes not on a whole second (first: {tmp_path}/a.xml, track 7, frame 31: 1.033 s)"
    ]


def test_cvat_can_be_told_what_is_an_action(tmp_path: Path) -> None:
    track = (
        f'<track id="7" label="run">{box(30, (20, 10, 60, 90), attribute("pose", "up"))}</track>'
    )
    path = cvat(tmp_path, track)
    assert list(convert(path).classes.values()) == ["up"]
    chosen = convert(path, actions=frozenset(["label"]), video="other")
    assert rows_of(chosen)[0][0] == "other"
    assert list(chosen.classes.values()) == ["run"]


def test_cvat_project_has_several_videos(tmp_path: Path) -> None:
    size = "<original_size><width>{}</width><height>100</height></original_size>"
    task = "<task><id>{}</id><name>{}</name>" + size + "</task>"
    tasks = task.format(1, "a.mp4", 100) + task.format(2, "b", 200)
    meta = f"<meta><project><tasks>{tasks}</tasks></project></meta>"
    tracks = [
        f'<track id="{i}" label="run" task_id="{i}">{box(0, (0, 0, 50, 50))}</track>'
        for i in (1, 2)
    ]
    assert [row[:3] for row in rows_of(convert(cvat(tmp_path, *tracks, meta=meta)))] == [
        ("a", 0, (0, 0, 0.5, 0.5)),
        ("b", 0, (0, 0, 0.25, 0.5)),
    ]


def test_cvat_at_2997_takes_the_frame_nearest_to_the_second(tmp_path: Path) -> None:
    boxes = [box(i, (i % 100, 0, 150, 100)) for i in range(140, 160)]
    path = cvat(tmp_path, f'<track id="0" label="wave">{"".join(boxes)}</track>')
    media = Media(fps=Fraction(30000, 1001))
    # Second 5 is frame 149.85: number 150, at 5.005 s.
    assert [row[:3] for row in rows_of(convert(path, media))] == [
        ("kitchen", 5, (0.25, 0, 0.75, 1))
    ]


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (box(30, (60, 10, 20, 90)), r"a\.xml, track 3, frame 30: box without area: .* 200 x 100"),
        (box(30, (0, 0, 900, 90)), r"track 3, frame 30: box far outside the picture"),
        (box(30, ("x", 0, 9, 9)), r"track 3, frame 30: xtl is not a number: 'x'"),
        ("", "nothing to convert: no box at all"),
    ],
)
def test_cvat_mistakes_name_track_and_frame(tmp_path: Path, track: str, message: str) -> None:
    path = cvat(tmp_path, f'<track id="3" label="wave">{track}</track>')
    with pytest.raises(ValueError, match=message):
        convert(path)


def test_cvat_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"export the task as 'CVAT for video 1\.1'"):
        convert(cvat(tmp_path, '<image id="0" name="a.jpg"/>'))
    with pytest.raises(ValueError, match=r"a\.xml, line 2: not XML"):
        convert(written(tmp_path, "a.xml", "<annotations>\n<track></annotations>"))
    with pytest.raises(ValueError, match="no <track> in this file"):
        convert(cvat(tmp_path))


def test_cvat_needs_a_rate(tmp_path: Path) -> None:
    path = cvat(tmp_path, f'<track id="3" label="wave">{box(30, (0, 0, 20, 90))}</track>')
    with pytest.raises(ValueError, match=r"track 3, frame 30: when is frame 30\? Say --fps"):
        convert(path, Media())


# ---------------------------------------------------------------------------- VIA 2

REGIONS = [
    {
        "shape_attributes": {"name": "rect", "x": 192, "y": 108, "width": 384, "height": 540},
        "region_attributes": {"action": {"walk": True, "talk": True, "sit": False}, "person": "A"},
    },
    {
        "shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 1920, "height": 1080},
        "region_attributes": {"action": "sit", "person": "B"},
    },
    {"shape_attributes": {"name": "circle", "cx": 1}, "region_attributes": {}},
]
VIA2_ROWS = [
    ("kitchen_1", 2, (0.1, 0.1, 0.3, 0.6), "talk", 0),
    ("kitchen_1", 2, (0.1, 0.1, 0.3, 0.6), "walk", 0),
    ("kitchen_1", 2, (0, 0, 1, 1), "sit", 1),
]


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("as_dict", [True, False])
def test_via2_json(tmp_path: Path, project: bool, as_dict: bool) -> None:
    regions = {str(i): r for i, r in enumerate(REGIONS)} if as_dict else REGIONS
    export: dict = {"x": {"filename": "kitchen_1_000060.jpg", "regions": regions}}
    if project:
        export = {"_via_settings": {}, "_via_img_metadata": export}
    converted = convert(written(tmp_path, "v.json", json.dumps(export)))
    assert rows_of(converted) == VIA2_ROWS
    assert converted.left_out.lines()[0].startswith("1 shapes that are no boxes (circle) (first: ")


@pytest.mark.parametrize("mark", ["", "#"])
def test_via2_csv(tmp_path: Path, mark: str) -> None:
    header = "filename,file_size,file_attributes,region_count,region_id,"
    lines = [f"{mark}{header}region_shape_attributes,region_attributes"]
    for i, region in enumerate(REGIONS[:2]):
        cells = [json.dumps(region[f"{kind}_attributes"]) for kind in ("shape", "region")]
        quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
        lines.append(f'd/kitchen_1_000060.jpg,9,"{{}}",2,{i},{quoted}')
    lines.append('d/kitchen_1_000090.jpg,9,"{}",0,0,"{}","{}"')
    assert rows_of(convert(written(tmp_path, "v.csv", "\n".join(lines)))) == VIA2_ROWS


def test_via2_mistakes_name_picture_and_region(tmp_path: Path) -> None:
    def told(filename: str, **shape: object) -> Path:
        region = {
            "shape_attributes": REGIONS[0]["shape_attributes"] | shape,
            "region_attributes": {"action": "sit"},
        }
        entry = {"x": {"filename": filename, "regions": [region]}}
        return written(tmp_path, "v.json", json.dumps(entry))

    with pytest.raises(ValueError, match=r"v\.json, img\.jpg, region 0: which video and frame"):
        convert(told("img.jpg"))
    with pytest.raises(ValueError, match=r"v\.json, a_030\.jpg, region 0: width is not a number"):
        convert(told("a_030.jpg", width=None))
    with pytest.raises(ValueError, match="of a picture of which size"):
        convert(told("a_030.jpg"), Media(fps=Fraction(30)))
    with pytest.raises(ValueError, match=r"v\.json: not JSON"):
        convert(written(tmp_path, "v.json", "{"))
    with pytest.raises(ValueError, match="'a': expected a picture with filename and regions"):
        convert(written(tmp_path, "v.json", '{"a": 1}'))


def test_pictures_may_be_named_by_the_second(tmp_path: Path) -> None:
    media = Media(size=(1080, 1920), picture_name=r"(?P<video>\w+)/(?P<second>\d{5})/")
    entry = {"x": {"filename": "frames\\ab\\00902\\1.jpg", "regions": REGIONS[:1]}}
    path = written(tmp_path, "v.json", json.dumps(entry))
    assert rows_of(convert(path, media))[0][:2] == ("ab", 902)
    with pytest.raises(ValueError, match="groups video and frame"):
        Media(picture_name="(?P<video>.*)")


# ---------------------------------------------------------------------------- VIA 3

ATTRIBUTES = {
    "1": {"aname": "action", "type": 2, "options": {"0": "walk", "1": "talk, loudly"}},
    "2": {"aname": "person", "type": 1, "options": {}},
    "3": {"aname": "pose", "type": 4, "options": {"0": "sit"}},
}
METADATA = {
    "1_a": {"vid": "1", "z": [3.0], "xy": [2, 192, 108, 384, 540], "av": {"1": "0,1", "2": "A"}},
    "1_b": {"vid": "1", "z": [3.0], "xy": [2, 0, 0, 960, 540], "av": {"3": "0", "2": "B", "1": ""}},
    "1_c": {"vid": "1", "z": [3.4], "xy": [2, 0, 0, 960, 540], "av": {"3": "0", "2": "B"}},
    "1_d": {"vid": "1", "z": [1.0, 2.0], "xy": [], "av": {}},
    "1_e": {"vid": "1", "z": [3.0], "xy": [7, 0, 0, 9, 9, 5, 5], "av": {}},
}
VIA3_ROWS = [
    ("kitchen.v1", 3, (0.1, 0.1, 0.3, 0.6), "talk, loudly", 0),
    ("kitchen.v1", 3, (0.1, 0.1, 0.3, 0.6), "walk", 0),
    ("kitchen.v1", 3, (0, 0, 0.5, 0.5), "sit", 1),
]
VIA3_LEFT_OUT = {
    "boxes not on a whole second",
    "segments in time, without a box",
    "shapes that are no boxes (polygon)",
}


def via3(folder: Path, metadata: dict, name: str = "kitchen.v1.mp4", kind: int = 4) -> Path:
    project = {
        "project": {"pid": "x"},
        "attribute": ATTRIBUTES,
        "file": {"4": {"fid": "4", "fname": name, "type": kind}},
        "view": {"1": {"fid_list": ["4"]}},
        "metadata": metadata,
    }
    return written(folder, "p.json", json.dumps(project))


def test_via3_project(tmp_path: Path) -> None:
    converted = convert(via3(tmp_path, METADATA))
    assert rows_of(converted) == VIA3_ROWS
    assert set(converted.left_out.reasons) == VIA3_LEFT_OUT


def test_via3_csv(tmp_path: Path) -> None:
    lines = ["# Exported using VGG Image Annotator", f"# ATTRIBUTE = {json.dumps(ATTRIBUTES)}"]
    lines.append(
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
        "spatial_coordinates,metadata"
    )
    for key, entry in METADATA.items():
        cells = [["c/kitchen.v1.mp4"], entry["z"], entry["xy"], entry["av"]]
        quoted = ['"' + json.dumps(cell).replace('"', '""') + '"' for cell in cells]
        lines.append(f'"{key}",{quoted[0]},0,{",".join(quoted[1:])}')
    path = written(tmp_path, "p.csv", "\n".join(lines))
    converted = convert(path)
    assert rows_of(converted) == VIA3_ROWS
    assert set(converted.left_out.reasons) == VIA3_LEFT_OUT
    path.write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(ValueError, match=r"p\.csv: no line '# ATTRIBUTE = \.\.\.'"):
        convert(path)


def test_via3_on_pictures(tmp_path: Path) -> None:
    entry = {"1_a": METADATA["1_a"] | {"z": []}}
    path = via3(tmp_path, entry, "kitchen_000091.jpg", kind=2)
    media = Media(Fraction(30), (1080, 1920), first_frame=1)
    assert [row[:2] for row in rows_of(convert(path, media))] == [("kitchen", 3)] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"av": {"1": "7"}}, r"region 1_a: option '7' of 'action', expected one of 0, 1"),
        ({"av": {"9": "0"}}, r"region 1_a: no attribute '9'"),
        ({"xy": [2, 1, 2]}, r"region 1_a: expected \[2, x, y, width, height\]"),
        ({"vid": "8"}, r"region 1_a: no file '8'"),
        ({"z": ["soon"]}, r"region 1_a: time is not a number: 'soon'"),
    ],
)
def test_via3_mistakes_name_the_region(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"p\.json, {message}"):
        convert(via3(tmp_path, {"1_a": METADATA["1_a"] | change}))


# ---------------------------------------------------------------------------- a table with names

TABLE = "kitchen.mp4,{second},0.1,0.2,0.3,0.4,{label},{person}\n"


def table(folder: Path, *rows: tuple[object, str, str], header: str = "") -> Path:
    lines = [TABLE.format(second=s, label=label, person=p) for s, label, p in rows]
    return written(folder, "t.csv", header + "".join(lines))


def test_a_table_with_or_without_header(tmp_path: Path) -> None:
    rows = [(4, " pour  water ", "Anna"), (4, "stand", "Ben"), (5, "stand", "Ben")]
    expected = [
        ("kitchen", 4, (0.1, 0.2, 0.3, 0.4), "pour water", 0),
        ("kitchen", 4, (0.1, 0.2, 0.3, 0.4), "stand", 1),
        ("kitchen", 5, (0.1, 0.2, 0.3, 0.4), "stand", 1),
    ]
    assert rows_of(convert(table(tmp_path, *rows), Media())) == expected
    header = "video,second,x1,y1,x2,y2,label,person\n"
    assert rows_of(convert(table(tmp_path, *rows, header=header), Media())) == expected
    turned = written(tmp_path, "t.csv", "label,video,second,x1,y1,x2,y2\nrun,v,1,0,0,1,1\n")
    assert rows_of(convert(turned, Media())) == [("v", 1, (0, 0, 1, 1), "run", None)]


def test_a_table_in_pixels(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "v,1,192,108,384,540,run\n")
    marks, _ = read_marks(path, FULL_HD, Choice(), pixels=True)
    assert to_ava(marks, FULL_HD).rows[0][2] == (0.1, 0.1, 0.2, 0.5)
    with pytest.raises(ValueError, match=r"t\.csv, line 1: box .* is in pixels, .* say --pixels"):
        read_marks(path, FULL_HD, Choice())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,1,0,0,1,1\n", r"t\.csv, line 1: expected 7 or 8 columns .* got 6"),
        ("v,1,0,0,1,1,run\nv,1,0,0,1,1,run,A\n", "line 2: expected 7 columns .* got 8"),
        ("v,1,0,0,1,x,run\n", "line 1: y2 is not a number: 'x'"),
        ("v,-1,0,0,1,1,run\n", "line 1: second is '-1', expected 0 or more"),
        ("v,nan,0,0,1,1,run\n", "line 1: second is 'nan'"),
        ("v,1,0,0,0,1,run\n", r"line 1: box without area: .* in \[0, 1\]"),
        ("v,1,0,0,1.2,1,run\n", "line 1: box far outside the picture"),
        ("v,1,1.05,0,1.09,1,run\n", "line 1: nothing of the box is in the picture"),
        ("video,second,x1,y1,x2,label\nv,1,0,0,1,run\n", "line 1: no column y2 in the header"),
        ("v,1,0,0,1,1,run,A\nv,1,0,0,1,1,run,\n", r"line 2: no person, .* as .*t\.csv, line 1"),
    ],
)
def test_table_mistakes_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(written(tmp_path, "t.csv", text), Media())


# ---------------------------------------------------------------------------- key frames, names


def export(folder: Path, tool: str) -> Path:
    """A box in the left half of frame 20, or second 2 of a 10 Hz video, called `wrong`."""
    region = {
        "shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 32, "height": 48},
        "region_attributes": {"action": "run"},
    }
    pictures = {"x": {"filename": "wrong_000020.jpg", "regions": [region]}}
    entry = {"vid": "1", "z": [2.0], "xy": [2, 0, 0, 32, 48], "av": {"3": "0"}}
    meta = "<meta><task><id>1</id><source>wrong.mp4</source></task></meta>"
    track = f'<track id="1" label="sit">{box(20, (0, 0, 32, 48))}</track>'
    return {
        "cvat": lambda: cvat(folder, track, meta=meta),
        "via2": lambda: written(folder, "v.json", json.dumps(pictures)),
        "via3": lambda: via3(folder, {"1_a": entry}, "wrong.mp4"),
        "via3 pictures": lambda: via3(folder, {"1_a": entry | {"z": []}}, "wrong_000020.jpg", 2),
        "table": lambda: written(folder, "t.csv", "wrong.mp4,2,0,0,32,48,sit\n"),
    }[tool]()


@pytest.mark.parametrize("tool", ["cvat", "via2", "via3", "via3 pictures", "table"])
@pytest.mark.parametrize("other", [True, False])
def test_a_video_of_another_name_gives_its_own_rate_and_size(
    tmp_path: Path, tool: str, other: bool
) -> None:
    """Also where a video of the name in the file lies beside it."""
    write_video(tmp_path / "real.mp4", [np.zeros((48, 64, 3), np.uint8)] * 30, 10)
    if other:
        write_video(tmp_path / "wrong.mp4", [np.zeros((96, 32, 3), np.uint8)] * 30, 25)
    media = Media(folder=tmp_path)
    marks, _ = read_marks(export(tmp_path, tool), media, Choice(video="real"), pixels=True)
    (row,) = to_ava(marks, media).rows
    assert row[:3] == ("real", 2, (0, 0, 0.5, 1))


def test_of_several_moments_the_nearest_is_the_key_frame(tmp_path: Path) -> None:
    rows = [(3.75, "far", "A"), (4.125, "near", "A"), (4.125, "near", "B"), (4.5, "tie", "A")]
    marks, _ = read_marks(table(tmp_path, *rows), Media(), Choice())
    rounded = to_ava(marks, Media(), tolerance=Fraction(1, 2))
    assert [(row[1], rounded.classes[row[3]]) for row in rounded.rows] == [
        (4, "near"),
        (4, "near"),
        (5, "tie"),
    ]
    (line,) = rounded.left_out.lines()
    assert line.startswith("1 boxes of a second whose key frame is another moment")
    with pytest.raises(ValueError, match=r"nothing to convert: 4 boxes not on a whole second"):
        to_ava(marks, Media())


def test_a_box_over_the_border_is_cut_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "v,1,-0.05,0,0.5,1.01,run\nv,1,0,0,1,1,run\n")
    converted = convert(path, Media())
    assert [row[2] for row in converted.rows] == [(0, 0, 0.5, 1), (0, 0, 1, 1)]
    assert converted.clipped == 1


def test_a_person_without_an_action_is_counted(tmp_path: Path) -> None:
    converted = convert(table(tmp_path, (1, "", "A"), (1, "run", "B")), Media())
    assert [row[4] for row in converted.rows] == [0]
    assert list(converted.left_out.reasons) == ["boxes without an action"]


def test_the_label_map_gives_the_ids(tmp_path: Path) -> None:
    marks, _ = read_marks(table(tmp_path, (1, "walk", "3")), Media(), Choice())
    converted = to_ava(marks, Media(), {12: "stand", 14: "walk"})
    assert (converted.rows[0][3], converted.rows[0][4]) == (14, 3)
    with pytest.raises(ValueError, match=r"line 1: action 'walk' is not .*did you mean 'walks'\?"):
        to_ava(marks, Media(), {1: "walks"})


def test_a_row_said_twice_counts_once(tmp_path: Path) -> None:
    assert len(convert(table(tmp_path, (1, "run", "A"), (1, "run", "A")), Media()).rows) == 1


def test_training_reads_what_was_written(tmp_path: Path) -> None:
    rows = [(4, 'say "a\\b"', "Anna"), (4, "stand; still", "Anna"), (5, "stand; still", "Ben")]
    converted = convert(table(tmp_path, *rows), Media())
    write_ava(converted.rows, tmp_path / "out.csv")
    write_label_map(converted.classes, tmp_path / "out.pbtxt")
    classes = read_label_map(tmp_path / "out.pbtxt")
    assert classes == {1: 'say "a\\b"', 2: "stand; still"}
    annotations = read_annotations(tmp_path / "out.csv", classes)
    assert annotations.annotated() == [ClipKey("kitchen", 4), ClipKey("kitchen", 5)]
    assert annotations.labels.tolist() == [[True, True], [False, True]]
    assert annotations.persons is not None
    assert annotations.persons.tolist() == [0, 1]
    np.testing.assert_allclose(annotations.boxes[0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)


@needs_shared
def test_a_real_video_gives_rate_and_size(tmp_path: Path) -> None:
    """The annotation of a real video, said as CVAT would: frames of 29.97 a second, in pixels."""
    real = SHARED / "data/real"
    names = read_label_map(ROOT / "configs/ava_actions_v2.1.csv")
    rows = [line.split(",") for line in (real / "basketball.csv").read_text().split()]
    tracks: dict[str, list[str]] = {}
    for _, second, x1, y1, x2, y2, action, person in rows:
        corners = (426 * float(x1), 240 * float(y1), 426 * float(x2), 240 * float(y2))
        frame = round(int(second) * 30000 / 1001)
        attributes = attribute("action", names[int(action)])
        tracks.setdefault(person, []).append(box(frame, corners, attributes))
    texts = [
        f'<track id="{p}" label="person">{"".join(boxes)}</track>' for p, boxes in tracks.items()
    ]
    meta = "<meta><task><id>1</id><source>basketball.mp4</source></task></meta>"
    media = Media(folder=real)
    marks, _ = read_marks(cvat(tmp_path, *texts, meta=meta), media, Choice())
    converted = to_ava(marks, media, names)
    expected = {(r[0], int(r[1]), *map(float, r[2:6]), int(r[6]), int(r[7])) for r in rows}
    assert {
        (video, second, *(round(v, 3) for v in corners), action, person)
        for video, second, corners, action, person in converted.rows
    } == expected


@needs_shared
def test_frames_past_the_end_of_a_real_video_are_named(tmp_path: Path) -> None:
    meta = "<meta><task><id>1</id><source>basketball.mp4</source></task></meta>"
    track = f'<track id="1" label="run">{box(3000, (0, 0, 9, 9))}</track>'
    path = cvat(tmp_path, track, meta=meta)
    with pytest.raises(ValueError, match=r"track 1, frame 3000: frame 3000, .*mp4 has \d+"):
        convert(path, Media(folder=SHARED / "data/real"))


# ---------------------------------------------------------------------------- command line


def test_command_line_writes_both_files_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    path = via3(tmp_path, METADATA)
    outcome = script(path, "--size", "1920x1080", "-o", tmp_path / "out/labels.csv")
    assert outcome.code == 0, outcome.err
    assert read_label_map(tmp_path / "out/labels.pbtxt") == {1: "sit", 2: "talk, loudly", 3: "walk"}
    lines = (tmp_path / "out/labels.csv").read_text().splitlines()
    assert lines[0] == "kitchen.v1,0003,0.100000,0.100000,0.300000,0.600000,2,0"
    assert "1 videos, 1 key frames, 2 boxes of persons, 3 rows" in outcome.out
    assert "left out: 1 boxes not on a whole second" in outcome.out
    assert "left out: 1 segments in time, without a box" in outcome.out
    renamed = ("--video", "other.mp4", "--size", "1920x1080", "-o", tmp_path / "renamed.csv")
    assert script(path, *renamed).code == 0
    assert (tmp_path / "renamed.csv").read_text().startswith("other,0003,")
    said = script.refuses(path, "-o", tmp_path / "other.csv")
    assert said.startswith(f"error: {path}, region 1_a: the box is in pixels")
    assert not (tmp_path / "other.csv").exists()


def test_several_files_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = Script("scripts/convert_labels", monkeypatch, capsys)
    names = written(tmp_path, "names.yaml", "5: wave\n6: run\n7: walk\n8: 'talk, loudly'\n9: sit\n")
    second = written(tmp_path, "t.csv", "w,1,0,0,1,1,run,1\n")
    arguments = ("--size", "1920x1080", "--label-map", names, "-o", tmp_path / "labels.csv")
    assert script(via3(tmp_path, METADATA), second, *arguments).code == 0
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[-1] == "w,0001,0.000000,0.000000,1.000000,1.000000,6,0"
    assert len(lines) == 4
    assert not (tmp_path / "labels.pbtxt").exists()
