"""The operating system's side: outputs that are ours, locks, signals."""
