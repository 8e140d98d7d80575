"""How good a classifier's answers are on held-out frames, as the oracle gives them."""

import numpy as np

from zoo import oracle


def classification(inputs, labels, classes):
    """A judge for classifiers: accuracy and confusion (rows: truth, columns: answer) on held-out frames."""

    def judge(model):
        answers = oracle.run(model, inputs).argmax(1)
        confusion = np.zeros((classes, classes), int)
        np.add.at(confusion, (labels, answers), 1)
        recall = np.diag(confusion) / confusion.sum(1)
        return {
            "accuracy": round(float((answers == labels).mean()), 4),
            "balanced_accuracy": round(float(recall.mean()), 4),
            "frames": len(labels),
            "confusion": confusion.tolist(),
        }

    return judge
