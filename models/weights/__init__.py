"""Checkpoints, ours and those of others, as models."""
