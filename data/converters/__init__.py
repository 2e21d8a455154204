"""Other tools' annotation files to AVA's CSV: CVAT, VIA 2 and 3, and a table with label names.

marks, left_out = read_marks(path, media, choice)     boxes with names, as the tool has them
converted = to_ava(marks, media, ...)                 key frames, fractions, ids
"""

from data.converters.ava import Converted, to_ava, write_ava
from data.converters.marks import Choice, LeftOut, Mark
from data.converters.media import Media
from data.converters.reading import read_marks

__all__ = [
    "Choice",
    "Converted",
    "LeftOut",
    "Mark",
    "Media",
    "read_marks",
    "to_ava",
    "write_ava",
]
