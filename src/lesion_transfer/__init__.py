"""Lesion classifiers that learn in turn from several body parts, and an honest answer to whether it helped."""
