"""Annotation files of other tools for tests, written into a folder, and rows to compare."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

from data.converters import Choice, Converted, Media, read_marks, to_ava

FULL_HD = Media(fps=Fraction(30), size=(1080, 1920))


def convert(
    path: Path, media: Media = FULL_HD, tolerance: Fraction | None = None, **options: object
) -> Converted:
    """Read and convert one file; `options` are those of `Choice`."""
    return to_ava(read_marks(path, media, Choice(**options)), media, tolerance=tolerance)


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


WALKER = '<track id="0" label="walk">{}</track>'


def task(number: int, source: str, size: int = 300, **fields: object) -> str:
    """A task of a project, its pictures 200 x 100 pixels; `fields` are other elements of it."""
    others = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return (
        f"<task><id>{number}</id><name>t{number}</name><size>{size}</size>{others}<original_size>"
        f"<width>200</width><height>100</height></original_size><source>{source}</source></task>"
    )


def project(*tasks: str) -> str:
    return f"<meta><project><tasks>{''.join(tasks)}</tasks></project></meta>"


def track_of(number: int, *frames: int) -> str:
    """A track of the task `number` with a box on these frames."""
    boxes = "".join(box(frame, (20, 10, 60, 90)) for frame in frames)
    return f'<track id="0" label="walk" task_id="{number}">{boxes}</track>'


def attribute(name: str, value: object) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def cvat(folder: Path, *tracks: str, meta: str = META) -> Path:
    """CVAT's XML of these tracks, each of which holds `box`es with `attribute`s."""
    return written(folder, "a.xml", f"<annotations>{meta}{''.join(tracks)}</annotations>")


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


def via3(folder: Path, metadata: dict, name: str = "kitchen.v1.mp4", kind: int = 4) -> Path:
    """A project of VIA 3 with one file, a video or (`kind` 2) a picture."""
    project = {
        "project": {"pid": "x"},
        "attribute": ATTRIBUTES,
        "file": {"4": {"fid": "4", "fname": name, "type": kind}},
        "view": {"1": {"fid_list": ["4"]}},
        "metadata": metadata,
    }
    return written(folder, "p.json", json.dumps(project))


TABLE = "kitchen.mp4,{second},0.1,0.2,0.3,0.4,{label},{person}\n"


def table(folder: Path, *rows: tuple[object, str, str], header: str = "") -> Path:
    """A table of rows (second, label, person)."""
    lines = [TABLE.format(second=s, label=label, person=p) for s, label, p in rows]
    return written(folder, "t.csv", header + "".join(lines))
