"""The toy dataset: moving figures in AVA's layout and formats, to train and test on within minutes.

`actors` draws a figure in a pose, `tracks` plans its poses over time, `scenes` paints them,
`files` writes the dataset.
"""

from data.toy.files import SplitSummary, ToySettings, ToySummary, generate_toy_dataset

__all__ = ["SplitSummary", "ToySettings", "ToySummary", "generate_toy_dataset"]
