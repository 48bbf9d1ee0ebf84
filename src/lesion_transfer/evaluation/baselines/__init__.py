"""What a network is measured against: models without pixels, models of few pixels, and shortcuts."""
