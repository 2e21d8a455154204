"""Options that scenarios of several commands share: a tiny dataset, a tiny model."""

from __future__ import annotations

DATA = (
    "label_map=annotations/classes.pbtxt", "train_labels=annotations/train.csv",
    "val_labels=annotations/val.csv", "val_exclusions=annotations/excluded.csv",
    "first_second=902", "last_second=904", "image_size=32", "workers=0",
)  # fmt: skip
MODEL = (
    "backbone=tiny3d", "width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "log_every=1",
    "batch_size=2", "validate_every=0",
)  # fmt: skip
ANNOTATIONS = {
    "data/annotations/classes.pbtxt": "pbtxt",
    "data/annotations/train.csv": "csv",
    "data/annotations/val.csv": "csv",
    "data/annotations/excluded.csv": "csv",
}
