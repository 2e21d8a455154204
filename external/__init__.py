"""Evaluation protocols that others define, written by us to their definition; usable alone."""
