"""What every room shares: geometry, operators, configuration, engine, runs, evaluation."""

from utils.moved import install

install()
