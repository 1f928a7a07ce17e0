"""What a run will take, and whether it can run here, before anything runs."""
