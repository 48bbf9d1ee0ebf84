"""A data set on disk to findings, each with its slices."""
