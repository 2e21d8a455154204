"""From a detector's output to detections, and their figures."""

from utils.moved import forward

__getattr__ = forward(
    __name__,
    "utils.evaluation.evaluator",
    "utils.evaluation.collecting",
    "utils.evaluation.judging",
)
