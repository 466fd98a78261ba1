import numpy as np
import pytest
from scipy.linalg import blas

from sparsepass.approximation.one_thread import function, one_thread


def test_products_are_the_same():
    terms = np.random.default_rng(0).standard_normal((4, 300)).astype(np.float32)

    with one_thread():
        found = blas.ssyrk(1.0, terms.T)

    np.testing.assert_allclose(np.triu(found), np.triu(terms.T @ terms), atol=1e-4)


def test_the_number_of_threads_comes_back():
    count = function("get_num_threads")
    if count is None:
        pytest.skip("another BLAS than OpenBLAS")
    before = count()

    with one_thread():
        assert count() == 1

    assert count() == before
