"""Checking a dataset before it is trained on: everything that is wrong with it, at once.

The readers that training uses stop at the first mistake; here every mistake is kept. What they
would refuse is an error, what is suspicious but trains is a warning.
"""

from data.check.dataset import CheckedDataset, CheckedSplit, check_dataset
from data.check.images import check_images
from data.check.pictures import draw_pictures
from data.check.problems import Problems
from data.check.summary import format_summary

__all__ = [
    "CheckedDataset",
    "CheckedSplit",
    "Problems",
    "check_dataset",
    "check_images",
    "draw_pictures",
    "format_summary",
]
