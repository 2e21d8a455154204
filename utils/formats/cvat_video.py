"""Results as "CVAT for video 1.1": a track for each person, to be corrected in CVAT.

An action is a checkbox of its name, since a person may do several at once. A track's boxes are key
frames, between which CVAT moves the box on a line; where the person is not on the next key frame,
the track is outside. CVAT holds no scores; and XML no control characters, which become U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from utils.formats.person_results import PersonResults, SeenFrame, SeenPerson
from utils.system.outputs import whole_file

LABEL = "person"
# What XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(results: PersonResults, path: Path, source: str = "") -> None:
    """Write results as XML that CVAT imports into a task of the video.

    Args:
        results: Of one video.
        path: The file to write; complete or not there.
        source: File name of the video; default: the name in the results.
    """
    names = action_names(results)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _add_meta(root, results, names, source or results.video)
    for track in tracks_of(results):
        _add_track(root, track, results.key_frames, names)
    indent(root, " ")
    with whole_file(path) as file:
        ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def action_names(results: PersonResults) -> list[str]:
    """Return the names of all actions in the results, by id."""
    found = {
        action.id: action.name
        for key in results.key_frames
        for person in key.persons
        for action in person.actions
    }
    return [found[number] for number in sorted(found)]


def tracks_of(results: PersonResults) -> Iterator[tuple[int, dict[int, SeenPerson]]]:
    """Yield each person's number, and the person by index of the key frame; by number."""
    tracks: dict[int, dict[int, SeenPerson]] = {}
    for k, key in enumerate(results.key_frames):
        for person in key.persons:
            tracks.setdefault(person.person, {})[k] = person
    yield from sorted(tracks.items())


def _add_meta(root: Element, results: PersonResults, names: Sequence[str], source: str) -> None:
    task = SubElement(SubElement(root, "meta"), "task")
    SubElement(task, "name").text = _xml_text(results.video)
    last = results.key_frames[-1].frame if results.key_frames else 0
    SubElement(task, "size").text = str(last + 1)
    label = SubElement(SubElement(task, "labels"), "label")
    SubElement(label, "name").text = LABEL
    attributes = SubElement(label, "attributes")
    for name in names:
        attribute = SubElement(attributes, "attribute")
        parts = {"name": name, "mutable": "True", "input_type": "checkbox"}
        for tag, text in (parts | {"default_value": "false", "values": "false"}).items():
            SubElement(attribute, tag).text = _xml_text(text)
    size = SubElement(task, "original_size")
    SubElement(size, "width").text = str(results.width)
    SubElement(size, "height").text = str(results.height)
    SubElement(task, "source").text = _xml_text(source)


def _add_track(
    root: Element,
    track: tuple[int, dict[int, SeenPerson]],
    key_frames: Sequence[SeenFrame],
    names: Sequence[str],
) -> None:
    number, seen = track
    element = SubElement(root, "track", id=str(number), label=LABEL, source="auto")
    for k, person in seen.items():
        _add_box(element, key_frames[k].frame, person, names)
        if k + 1 < len(key_frames) and k + 1 not in seen:
            _add_box(element, key_frames[k].frame + 1, person, names, "1")


def _add_box(
    track: Element, frame: int, person: SeenPerson, names: Sequence[str], outside: str = "0"
) -> None:
    corners = zip(("xtl", "ytl", "xbr", "ybr"), person.box, strict=True)
    places = {name: f"{value:.2f}" for name, value in corners}
    state = {"frame": str(frame), "outside": outside, "occluded": "0", "keyframe": "1"}
    box = SubElement(track, "box", state | places)
    done = {action.name for action in person.actions}
    for name in names:
        attribute = SubElement(box, "attribute", name=_xml_text(name))
        attribute.text = "true" if name in done else "false"


def _xml_text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
