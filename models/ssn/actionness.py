"""The actionness classifier (SSN, section 5): is a snippet background or some action?"""

from __future__ import annotations

from torch import Tensor, nn

from models.ssn.detector import scaled


class ActionnessModel(nn.Module):
    """Scores snippets as background and action; module names are those of the public checkpoints.

    Args:
        backbone: Images of a snippet `[n, C, H, W]` to features `[n, D]`.
        channels: D.
        dropout: Of the features, in training.
    """

    architecture = ""
    modality = "RGB"
    input_side = 0

    def __init__(self, backbone: nn.Module, channels: int, dropout: float = 0.8) -> None:
        super().__init__()
        self.base_model = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier_fc = nn.Linear(channels, 2)
        nn.init.normal_(self.classifier_fc.weight, 0, 0.001)
        nn.init.zeros_(self.classifier_fc.bias)

    def forward(self, snippets: Tensor) -> Tensor:
        """Return raw scores `[n, 2]` of snippets `[n, C, H, W]`, background first."""
        return self.classifier_fc(self._features(snippets))

    def score_segments(self, snippets: Tensor) -> Tensor:
        """Return raw scores `[P, 2]` of segments by their snippets `[P, S, C, H, W]`.

        The features of a segment's S snippets are averaged, as in training.
        """
        count, length = snippets.shape[:2]
        features = self._features(snippets.flatten(0, 1))  # [P * S, D]
        return self.classifier_fc(features.reshape(count, length, -1).mean(dim=1))

    def _features(self, snippets: Tensor) -> Tensor:
        return self.dropout(self.base_model(scaled(self.base_model, snippets)))
