"""The figures: a file each, named like it, with a function from tables to a matplotlib figure.

``names`` says which of them a run has (rules ask it, too), ``draw`` draws these, ``style`` is how
all of them look.
"""
