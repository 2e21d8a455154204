"""What an evaluation found, and how it is written down."""

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ClassResult:
    """One class: AP in [0, 1], nan without ground truth, and what it was computed from."""

    id: int
    name: str
    ap: float
    groundtruth: int
    detections: int
    true_positives: int


@dataclass(frozen=True)
class Result:
    """The outcome of `evaluate`."""

    protocol: str
    iou_threshold: float
    classes: list[ClassResult]
    """Ascending id."""
    counts: dict[str, int]
    """What was evaluated and what was dropped; label -> number, in the order of `report`."""
    reasons: dict[str, str]
    """Name -> likeliest reason, for every class with AP 0."""

    @property
    def per_class(self) -> dict[str, float]:
        """Name -> AP, nan where there is no ground truth."""
        return {c.name: c.ap for c in self.classes}

    @property
    def mAP(self) -> float:
        """Plain mean of the AP of classes with ground truth; nan if none has any."""
        values = [c.ap for c in self.classes if not math.isnan(c.ap)]
        return math.fsum(values) / len(values) if values else math.nan

    def to_dict(self) -> dict[str, float]:
        """Return the metrics under their official names; nan without ground truth."""
        at = f"@{self.iou_threshold:g}IOU"
        metrics = {f"PascalBoxes_Precision/mAP{at}": self.mAP}
        for c in self.classes:
            metrics[f"PascalBoxes_PerformanceByCategory/AP{at}/{c.name}"] = c.ap
        return metrics

    def to_json(self) -> str:
        """Return everything as JSON; nan becomes null, which JSON has."""
        document: dict[str, Any] = {
            "protocol": self.protocol,
            "iou_threshold": self.iou_threshold,
            "metrics": {name: _null_if_nan(value) for name, value in self.to_dict().items()},
            "counts": self.counts,
            "classes": [asdict(c) | {"ap": _null_if_nan(c.ap)} for c in self.classes],
            "reasons_for_zero": self.reasons,
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return a table with a header and a row for each class; no AP without ground truth.

        Columns are those of `ClassResult`, and the likeliest reason where AP is 0.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(field.name for field in fields(ClassResult)), "reason_for_zero"])
        for c in self.classes:
            values = [_null_if_nan(v) if isinstance(v, float) else v for v in asdict(c).values()]
            writer.writerow([*values, self.reasons.get(c.name)])
        return text.getvalue()

    def report(self) -> str:
        """Return a table for reading: what was evaluated, each class, reasons for zeros, mAP."""
        lines = [f"AVA frame-mAP, protocol {self.protocol}, IoU >= {self.iou_threshold:g}", ""]
        lines += [f"{number:>12,}  {what}" for what, number in self.counts.items()]
        width = max(len(c.name) for c in self.classes)
        lines += ["", f"{'id':>4}  {'class':<{width}}  {'AP':>7}  {'truth':>8}  {'found':>10}"]
        for c in self.classes:
            ap = "-" if math.isnan(c.ap) else f"{100 * c.ap:.2f}"
            lines.append(
                f"{c.id:>4}  {c.name:<{width}}  {ap:>7}  {c.groundtruth:>8,}  {c.detections:>10,}"
            )
        if self.reasons:
            lines += ["", "AP 0, the likeliest reason:"]
            lines += [f"  {name}: {reason}" for name, reason in self.reasons.items()]
        lines += ["", f"mAP {100 * self.mAP:.2f} % over {self._with_truth()} classes"]
        return "\n".join(lines)

    def _with_truth(self) -> int:
        return sum(c.groundtruth > 0 for c in self.classes)


def _null_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
