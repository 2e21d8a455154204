"""Training whatever the model: the loop, precision, schedules, repeatability, faults."""

from utils.moved import forward

__getattr__ = forward(__name__, "utils.engine.trainer")
