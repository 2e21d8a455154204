"""VIA's annotation, versions 2 and 3: projects, exports, and their mistakes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from data.converters import Media
from tests.conversion import ATTRIBUTES, METADATA, convert, rows_of, via3, written

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

    with pytest.raises(
        ValueError, match=r"v\.json, img\.jpg, region 0: cannot tell video and frame"
    ):
        convert(told("img.jpg"))
    with pytest.raises(ValueError, match=r"v\.json, a_030\.jpg, region 0: width is not a number"):
        convert(told("a_030.jpg", width=None))
    with pytest.raises(ValueError, match="the size of its picture is not known: give --size"):
        convert(told("a_030.jpg"), Media(fps=Fraction(30)))
    with pytest.raises(ValueError, match=r"v\.json: not a JSON file"):
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
