"""Why a detector's frame-mAP is what it is: `scripts/analyze.py` in parts.

    step = analyze("step 3", groundtruth, detections, label_map)     numbers, no files
    tables = make_tables([step, ...], overlaps)                      for reading, CSV and JSON
    draw_pictures([step, ...], overlaps, folder)                     needs matplotlib

Letters: C classes, P annotated persons, n detections and m annotated boxes of one class.
"""

from utils.analysis.report import make_tables, write_tables
from utils.analysis.step import StepAnalysis, analyze

__all__ = ["StepAnalysis", "analyze", "make_tables", "write_tables"]
