"""Annotations of the datasets that are known, each read from its own files."""
