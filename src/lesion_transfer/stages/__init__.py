"""One file a DVC stage; with cli.py the only code that knows params.yaml, paths and MLflow."""
