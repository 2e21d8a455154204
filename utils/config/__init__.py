"""Options: declared once with all their facts; YAML files; `key=value` overrides."""

from utils.config.base import BaseConfig
from utils.config.options import option
from utils.config.step import (
    Config,
    DataConfig,
    ModelConfig,
    TestConfig,
    TrainConfig,
    config_from_dict,
    describe_options,
    load_config,
)

__all__ = [
    "BaseConfig",
    "Config",
    "DataConfig",
    "ModelConfig",
    "TestConfig",
    "TrainConfig",
    "config_from_dict",
    "describe_options",
    "load_config",
    "option",
]
