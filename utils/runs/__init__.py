"""A training run on disk: folder, log, checkpoints, results."""
