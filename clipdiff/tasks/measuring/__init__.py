"""What tasks share in measuring: the splits they see, the metrics they return."""
