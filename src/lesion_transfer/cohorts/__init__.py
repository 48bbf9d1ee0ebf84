"""Findings to aligned patches of one size, their normalisation, and the split of their patients."""
