"""Pure functions of a predictions table."""
