from differences_plus.rules import Rules

from clipdiff.testing import check_writer


def test_rules():
    check_writer(Rules(most_words=3))
