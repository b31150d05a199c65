"""How high the wrists are over time, a line each: python examples/plot_wrists.py video picture.png

Needs pip install matplotlib."""

import sys

import matplotlib
import numpy as np

from toppose import Estimator

matplotlib.use("Agg")
from matplotlib import pyplot as plt

tracks: dict[tuple[int, str], list[tuple[float, float]]] = {}
for frame in Estimator().stream(sys.argv[1], track=True, smooth=True):
    for person in frame.poses:
        for wrist in ("left_wrist", "right_wrist"):
            sure = person.scores[0, person.skeleton.joints.index(wrist)] > 0.3
            height = frame.image.shape[0] - person[wrist][0, 1] if sure else np.nan
            tracks.setdefault((int(person.ids[0]), wrist), []).append((frame.time, height))
for (who, wrist), points in sorted(tracks.items()):
    plt.plot(*np.array(points).T, label=f"person {who}, {wrist.replace('_', ' ')}")
plt.xlabel("seconds")
plt.ylabel("pixels above the picture's lower edge")
if tracks:
    plt.legend()
plt.savefig(sys.argv[2], dpi=120)
print(f"{len(tracks)} lines in {sys.argv[2]}")
