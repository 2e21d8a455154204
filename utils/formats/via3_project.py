"""Results as a project of VIA 3: a box on each key frame, with the person's number and actions.

VIA holds no scores, and its boxes stand for a moment: nothing is moved in between. Its times are
the player's, which begin with the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from utils.formats.cvat_video import action_names
from utils.formats.person_results import PersonResults, SeenPerson
from utils.system.outputs import write_whole

RECTANGLE, TEXT, CHECKBOX, VIDEO, LOCAL = 2, 1, 2, 4, 1
ANCHOR = "FILE1_Z1_XY1"  # an attribute of a box at a moment of a file


def write_via3(results: PersonResults, path: Path, source: str = "", start: float = 0) -> None:
    """Write results as a project (JSON).

    Args:
        results: Of one video.
        path: The file to write; complete or not there.
        source: File name of the video; default: the name in the results.
        start: Time of the video's first frame in the player [s].
    """
    names = action_names(results)
    boxes: dict[str, Any] = {}
    for k, key in enumerate(results.key_frames):
        for i, person in enumerate(key.persons):
            boxes[f"1_{k:06d}x{i:03d}"] = _box(person, key.time + start, names)
    project = {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": results.video,
            "creator": "STEP",
            "created": 0,
            "vid_list": ["1"],
        },
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}},
        "attribute": {
            "1": _attribute("action", CHECKBOX, {str(i): name for i, name in enumerate(names)}),
            "2": _attribute("person", TEXT, {}),
        },
        "file": {
            "1": {"fid": "1", "fname": source or results.video, "type": VIDEO, "loc": LOCAL}
            | {"src": ""}
        },
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": boxes,
    }
    write_whole(path, json.dumps(project))


def _attribute(name: str, kind: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "aname": name,
        "anchor_id": ANCHOR,
        "type": kind,
        "desc": "",
        "options": options,
        "default_option_id": "",
    }


def _box(person: SeenPerson, time: float, names: list[str]) -> dict[str, Any]:
    x1, y1, x2, y2 = person.box
    chosen = [str(names.index(action.name)) for action in person.actions]
    return {
        "vid": "1",
        "flg": 0,
        "z": [round(time, 6)],
        "xy": [RECTANGLE, x1, y1, round(x2 - x1, 6), round(y2 - y1, 6)],
        "av": {"1": ",".join(chosen), "2": str(person.person)},
    }
