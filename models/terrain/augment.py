"""What another drive on the same ground could have looked like: disturbances of windows in physical units.

All functions work on float32 (n, 10, samples) with the channels of `terrain.data`.
"""

import numpy as np

from terrain.data import CHANNELS

GRAVITY = 9.81
# Sensor noise added to each channel, in its own unit.
NOISE = np.array([0.003] * 3 + [0.05] * 3 + [0.1] * 2 + [0.005] * 2, np.float32)
# Channels that change sign when the robot is seen in a mirror that swaps left and right.
_MIRROR_SIGN = (0, 2, 4)
_MIRROR_ORDER = [0, 1, 2, 3, 4, 5, 7, 6, 9, 8]

assert len(NOISE) == len(_MIRROR_ORDER) == len(CHANNELS)


def disturb(rng, windows):
    """Mirrors half of the windows, turns some back in time, varies mounting, gains, slope and noise, and silences sensors."""
    values = windows.copy()
    _mirror(values, rng.random(len(values)) < 0.5)
    _reverse(values, rng.random(len(values)) < 0.3)
    _tilt(rng, values, 0.04)
    _gains(rng, values)
    # A slope of a few degrees under the robot shows as a constant acceleration.
    values[:, 3:5] += rng.normal(0, 0.4, (len(values), 2, 1))
    values[:, 6:8] += rng.normal(0, 0.5, (len(values), 2, 1))
    values += rng.normal(0, 1, values.shape) * NOISE[:, None]
    _silence(rng, values, 0.3)
    return values.astype(np.float32)


def _mirror(values, chosen):
    values[chosen] = values[chosen][:, _MIRROR_ORDER]
    for channel in _MIRROR_SIGN:
        values[chosen, channel] *= -1


def _reverse(values, chosen):
    """The same way driven backwards: accelerations keep their sign, velocities change it."""
    values[chosen] = values[chosen][:, :, ::-1]
    values[chosen, 0:3] *= -1
    values[chosen, 8:10] *= -1


def _silence(rng, values, chance):
    """One group of sensors says nothing, so that the network does not lean on the other alone."""
    silent, wheels = rng.random(len(values)) < chance, rng.random(len(values)) < 0.5
    rest = np.array([c[2] for c in CHANNELS], np.float32)[:, None]
    values[silent & wheels, 6:10] = rest[6:10]
    values[silent & ~wheels, 0:2] = rest[0:2]


def _tilt(rng, values, spread):
    """The IMU mounted a little askew: small rotations of its axes, `spread` in radians."""
    x, y, z = rng.normal(0, spread, (3, len(values)))
    zero = np.zeros(len(values))
    turn = np.eye(3) + np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    for first in (0, 3):
        values[:, first : first + 3] = np.einsum("nij,njt->nit", turn, values[:, first : first + 3])


def _gains(rng, values):
    """A rougher or smoother drive, stronger or weaker currents."""
    rough = np.exp(rng.normal(0, 0.15, (len(values), 1, 1)))
    values[:, 0:3] *= rough
    at_rest = np.array([0, 0, GRAVITY], np.float32)[:, None]
    values[:, 3:6] = (values[:, 3:6] - at_rest) * rough + at_rest
    values[:, 6:8] *= np.exp(rng.normal(0, 0.1, (len(values), 1, 1)))
    values[:, 8:10] *= np.exp(rng.normal(0, 0.05, (len(values), 1, 1)))
