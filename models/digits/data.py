"""The digits that scikit-learn carries: 1,797 handwritten digits of 8x8 pixels, grey values 0 to 16."""

import numpy as np

# A writer's digits stand together in the file, so the last quarter is mostly of hands that training never saw.
TEST_FROM = 1347
LABELS = [str(d) for d in range(10)]


def load():
    """((train inputs, labels), (test inputs, labels)); inputs float32 (n, 1, 8, 8) in 0..16, labels int64."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = bunch.images.astype(np.float32)[:, None]
    y = bunch.target.astype(np.int64)
    return (x[:TEST_FROM], y[:TEST_FROM]), (x[TEST_FROM:], y[TEST_FROM:])


def held_out(shared=None, everything=False):
    """(inputs, labels) that training never saw. `shared` is not needed: the package carries the data.

    `everything`: the digits of the training as well.
    """
    train, test = load()
    return tuple(np.concatenate(pair) for pair in zip(train, test)) if everything else test
