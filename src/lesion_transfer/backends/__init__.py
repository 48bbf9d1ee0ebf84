"""Where independent tasks are computed: in this process, or on Ray's workers; the same bytes either way."""
