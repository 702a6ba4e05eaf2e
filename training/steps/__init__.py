"""What every stage needs to take steps: loop, optimiser, checkpoints, progress."""
