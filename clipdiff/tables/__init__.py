"""From all cells' metrics to tables, figures and the report."""
