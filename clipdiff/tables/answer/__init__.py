"""The report's answers: nothing is said that a table does not hold.

``effects`` computes what summary.csv, tests.csv and metrics.csv say of each measure on each split:
how many arms gain, which LLMs and losses differ, what another seed changes. ``paragraphs`` and
``short_answers`` put that into words, question by question and measure by measure; ``caveats`` adds
what stands beside: controls, costs elsewhere, how sure it is, what the run cannot say.
"""
