"""Getting published data sets: which series are needed, fetching them, and what only the user can fetch."""
