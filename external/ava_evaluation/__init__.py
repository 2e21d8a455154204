"""AVA frame-mAP by both official protocols, `2018` (default) and `2020`.

Written from the published rules of the AVA / ActivityNet task; no official code is used.
numpy, PyYAML and the standard library are all it needs:

    result = evaluate("gt.csv", "detections.csv", read_label_map("classes.pbtxt"))
    print(result.report())

On the command line: `python -m external.ava_evaluation -l MAP -g GROUNDTRUTH -d DETECTIONS`.
"""

from external.ava_evaluation.boxes import Boxes
from external.ava_evaluation.evaluation import evaluate
from external.ava_evaluation.labels import format_label_map, read_label_map
from external.ava_evaluation.protocol import PROTOCOLS, Protocol
from external.ava_evaluation.reading import read_boxes, read_exclusions
from external.ava_evaluation.result import ClassResult, Result

__all__ = [
    "PROTOCOLS",
    "Boxes",
    "ClassResult",
    "Protocol",
    "Result",
    "evaluate",
    "format_label_map",
    "read_boxes",
    "read_exclusions",
    "read_label_map",
]
