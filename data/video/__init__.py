"""Video files and folders of frames: times, decoding, streams, writing."""

from utils.moved import forward

__getattr__ = forward(__name__, "data.video.windows")
