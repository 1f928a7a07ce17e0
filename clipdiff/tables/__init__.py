"""Stage ``gather``: from all cells' files to tables, figures and the report.

The data pass through a room each: ``reading`` turns files into tables, ``significance`` tests arms
against each other on the same items (tests.csv), ``summary`` has one row an arm (summary.csv),
``answer`` says in words what these tables hold, ``figures`` draws them, ``report`` is the page of
it all. ``scope`` says which measures and splits are compared. ``trace`` goes the other way, from
one number back to what it was made of.
"""
