"""What every room shares: boxes, tubes, operators, configuration, checkpoints, loops."""
