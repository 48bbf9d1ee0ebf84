"""Tensors to a trained network; knows no file layout, no data set and no MLflow."""
