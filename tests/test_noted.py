"""What the log says beside the losses."""

import torch

from utils.engine.noted import NotedMeans


def test_figures_are_means_since_they_were_last_taken() -> None:
    means = NotedMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"total": torch.tensor(9.0), "noted/step1/recall": torch.tensor(value)})
    assert means.take() == {"noted/step1/recall": 3.0}
    means.add({"noted/step1/recall": torch.tensor(5.0)})
    assert means.take() == {"noted/step1/recall": 5.0}
