"""What the training stages share: where a phase starts, its population, resuming, and what it leaves on disk."""
