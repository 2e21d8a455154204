"""The label map's reader, for rooms that may not reach into `external` themselves."""

from external.ava_evaluation import read_label_map

__all__ = ["read_label_map"]
