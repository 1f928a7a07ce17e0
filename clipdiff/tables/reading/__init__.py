"""What other stages left on the disk, as tables.

``metrics_files``: every metric of every cell (metrics.csv). ``item_files``: what each item came to,
cell beside cell, for the tests. ``training_logs``: loss by step. ``llm_texts`` (with ``swaps``):
what each LLM wrote, and how good it is (llms.csv). ``job_costs``: time and memory. ``examples``:
pairs to look at, with their images.
"""
