"""The first questions to a GPU: `make gpu`, see docs/gpu.md."""
