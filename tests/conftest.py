"""Test-wide settings: tiny tensors gain nothing from threads that wait for each other."""

import torch

torch.set_num_threads(1)
