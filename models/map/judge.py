"""How well are the unseen cells of a map filled in? Intersection over union, against trivial answers."""

import numpy as np

from map.data import asked
from map.read import FLOOR, WALL
from zoo import oracle


def scores(floor, wall, cells, truths):
    """IoU of floor and of wall over the `cells` of all frames; `floor`, `wall` and `cells` are boolean (n, h, w)."""
    result = {}
    for name, answer, kind in (("floor_iou", floor, FLOOR), ("wall_iou", wall, WALL)):
        truth = truths == kind
        common, either = (answer & truth & cells).sum(), ((answer | truth) & cells).sum()
        result[name] = round(float(common / either), 4)
    result = {"mean_iou": round((result["floor_iou"] + result["wall_iou"]) / 2, 4), **result}
    known = cells & (truths != 0)
    answer = np.where(floor, FLOOR, np.where(wall, WALL, 0))
    result["known_cells_right"] = round(float((answer == truths)[known].mean()), 4)
    return result


def model_judge(inputs, truths):
    """A judge for `zoo.release`: the model's answer is floor or wall where its probability is above one half."""

    cells = asked(inputs)

    def judge(model):
        output = oracle.run(model, inputs)
        return {**scores(output[:, 0] > 0.5, output[:, 1] > 0.5, cells, truths), "frames": len(inputs)}

    return judge


def baselines(inputs, truths):
    """Scores of answers that need no model: every cell asked for is floor; only those within 30 cm of seen floor are; each is what
    the nearest seen cell is."""
    from scipy.ndimage import distance_transform_edt

    cells = asked(inputs)
    near, nearest_floor, nearest_wall = [], [], []
    for x in inputs:
        near.append(distance_transform_edt(x[0] == 0) <= 3)
        row, column = distance_transform_edt(x[2] > 0, return_distances=False, return_indices=True)
        nearest_floor.append(x[0][row, column] > 0)
        nearest_wall.append(x[1][row, column] > 0)
    nothing = np.zeros_like(cells)
    return {
        "all floor": scores(~nothing, nothing, cells, truths),
        "floor grows by 30 cm": scores(np.stack(near), nothing, cells, truths),
        "copy the nearest seen cell": scores(np.stack(nearest_floor), np.stack(nearest_wall), cells, truths),
    }
