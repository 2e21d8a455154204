"""Options: declared once with type, range and help; YAML files; `key=value` overrides."""

from utils.moved import forward

__getattr__ = forward(__name__, "utils.config.step")
