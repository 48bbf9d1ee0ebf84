"""One file a DVC stage, and what they share; with cli.py the only code that knows params.yaml, paths and MLflow."""
