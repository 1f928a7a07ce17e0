from differences_plus.listed import Listed

from clipdiff.testing import check_dataset


def test_listed(listing):
    check_dataset(Listed(listing=str(listing)))
