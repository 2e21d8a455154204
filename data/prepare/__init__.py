"""From videos to a dataset on disk: extraction and the record of how frames were made."""

from utils.moved import forward

__getattr__ = forward(__name__, "data.prepare.one_video")
