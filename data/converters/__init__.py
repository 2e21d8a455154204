"""Other tools' annotation files to AVA's CSV: CVAT, VIA 2 and 3, and a table with label names.

reading = read_marks(path, media, choice)     boxes with names, as the tool has them
converted = to_ava(reading, media, ...)       key frames, fractions, ids
"""

from data.converters.ava import Converted, to_ava, write_ava
from data.converters.choosing import check_actions, choose_labels
from data.converters.marks import Choice, LeftOut, Mark, Reading
from data.converters.media import Media
from data.converters.reading import read_marks

__all__ = [
    "Choice",
    "Converted",
    "LeftOut",
    "Mark",
    "Media",
    "Reading",
    "check_actions",
    "choose_labels",
    "read_marks",
    "to_ava",
    "write_ava",
]
