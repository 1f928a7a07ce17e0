"""One row an arm in every measure, split and weight setting.

``arms`` joins metrics and tests to summary.csv and marks the best arm; ``markup`` writes it for
readers, as Markdown and LaTeX.
"""
