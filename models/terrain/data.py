"""Windows of the terrain recordings: 2.56 s of IMU and wheel readings of a Husky A200, by run.

A window is float32 (10, 1, 256) at 100 Hz: angular velocity x y z, linear acceleration x y z, motor
current left right, wheel velocity left right (interpolated from 6.5 Hz), each normalised as in CHANNELS.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABELS = ["asphalt", "flooring", "ice", "sandy_loam", "snow"]
RATE = 100.0
WINDOW = 256
STRIDE = 64
# Normalised values beyond this are rare shocks; the int8 input saturates there.
CLIP = 4.0

# Name, unit, and the offset and scale of the normalisation (value - offset) / scale, chosen as round numbers near the spread of the channel.
CHANNELS = [
    ("angular_velocity_x", "rad/s", 0.0, 0.10),
    ("angular_velocity_y", "rad/s", 0.0, 0.10),
    ("angular_velocity_z", "rad/s", 0.0, 0.25),
    ("linear_acceleration_x", "m/s2", 0.0, 2.5),
    ("linear_acceleration_y", "m/s2", 0.0, 2.5),
    ("linear_acceleration_z", "m/s2", 9.81, 1.2),
    ("motor_current_left", "A", 6.0, 6.0),
    ("motor_current_right", "A", 6.0, 6.0),
    ("wheel_velocity_left", "m/s", 0.0, 0.3),
    ("wheel_velocity_right", "m/s", 0.0, 0.3),
]

# The runs that the models were trained on; every other run that is found is held out.
TRAINED_ON = {
    "asphalt": (0, 2, 3, 6),
    "flooring": (1, 3, 7, 8),
    "ice": (2, 3, 6, 7, 10),
    "sandy_loam": (1, 2, 6, 8, 10, 11),
    "snow": (0, 2, 6, 10, 14, 18, 25),
}


@dataclass
class Run:
    """One recorded drive; `values` is float32 (10, samples) in physical units at 100 Hz."""

    label: int
    number: int
    values: np.ndarray

    @property
    def trained_on(self):
        """Whether training saw this run."""
        return self.number in TRAINED_ON[LABELS[self.label]]

    @property
    def name(self):
        """Surface and number, as in the recordings."""
        return f"{LABELS[self.label]}/{self.number:02d}"


def runs(shared):
    """All runs in `shared`/robot-data/terrain."""
    folder = Path(shared) / "robot-data" / "terrain"
    result = []
    for label, surface in enumerate(LABELS):
        path = folder / f"{surface}.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; give the folder that holds robot-data/terrain (BorealTC, see models/terrain/CARD.md)")
        with np.load(path) as arrays:
            for name in sorted(n for n in arrays.files if n.startswith("imu_")):
                number = name.removeprefix("imu_")
                result.append(Run(label, int(number), _join(arrays[name], arrays[f"wheel_{number}"])))
    return result


def _join(imu, wheel):
    """Both sensors at the IMU's times, as rows of one array."""
    wheels = [np.interp(imu[:, 0], wheel[:, 0], wheel[:, k]) for k in range(1, 5)]
    return np.concatenate([imu[:, 1:].T, np.stack(wheels)]).astype(np.float32)


def normalise(values):
    """Physical units to the model's input, along the first axis of (10, ...)."""
    shape = (-1,) + (1,) * (values.ndim - 1)
    offset = np.array([c[2] for c in CHANNELS], np.float32).reshape(shape)
    scale = np.array([c[3] for c in CHANNELS], np.float32).reshape(shape)
    return (values - offset) / scale


def windows(chosen, stride=STRIDE):
    """(inputs (n, 10, 1, 256) normalised, labels (n,), index of the run (n,)) of some runs."""
    inputs, labels, of = [], [], []
    for index, run in enumerate(chosen):
        for start in range(0, run.values.shape[1] - WINDOW + 1, stride):
            inputs.append(normalise(run.values[:, start : start + WINDOW])[:, None])
            labels.append(run.label)
            of.append(index)
    if not inputs:
        raise ValueError("no run is as long as one window of 2.56 s")
    return np.stack(inputs).astype(np.float32), np.array(labels, np.int64), np.array(of)


def held_out(shared, everything=False):
    """(inputs, labels) of all windows of the runs that training never saw, the surfaces taking turns.

    `everything`: of all runs, for recordings other than those that the numbers in TRAINED_ON mean.
    """
    chosen = [run for run in runs(shared) if everything or not run.trained_on]
    if not chosen:
        raise ValueError(f"all runs in {shared}/robot-data/terrain were trained on")
    inputs, labels, _ = windows(chosen)
    # By the share of its surface that lies before it, so that each stretch of frames holds all surfaces.
    share = np.empty(len(labels))
    for label in np.unique(labels):
        mine = labels == label
        share[mine] = np.arange(mine.sum()) / mine.sum()
    order = np.argsort(share, kind="stable")
    return inputs[order], labels[order]
