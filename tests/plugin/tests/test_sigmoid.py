from differences_plus.sigmoid import Sigmoid

from clipdiff.testing import check_loss


def test_sigmoid():
    check_loss(Sigmoid())
    check_loss(Sigmoid(logit_scale=2, bias=0, mask_duplicates=False))
