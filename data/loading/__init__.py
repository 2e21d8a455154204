"""Batches of samples: order, worker processes, the validation set."""
