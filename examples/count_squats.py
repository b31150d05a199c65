"""Counts squats by the angle of the knees: python examples/count_squats.py video

A squat is a knee bent to less than 100 degrees, and stretched to more than 150 again. Each person is counted apart."""

import sys
from collections import Counter

import numpy as np

from toppose import Estimator

BENT, STRETCHED, SURE = 100, 150, 0.3


def knee_angle(person):
    """Degrees between thigh and shank, of the knee that is seen best; None where neither is."""
    best = None
    for side in ("left", "right"):
        joints = [person.skeleton.joints.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle")]
        score = person.scores[0, joints].min()
        hip, knee, ankle = person.keypoints[0, joints]
        thigh, shank = hip - knee, ankle - knee
        cosine = thigh @ shank / max(np.linalg.norm(thigh) * np.linalg.norm(shank), 1e-6)
        if score > (best or (SURE,))[0]:
            best = score, np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return best and best[1]


def count_squats(frames):
    """Squats by person's id."""
    squats, down = Counter(), set()
    for frame in frames:
        for person in frame.poses:
            who, angle = int(person.ids[0]), knee_angle(person)
            if angle is None:
                continue
            if angle < BENT:
                down.add(who)
            elif angle > STRETCHED and who in down:
                down.remove(who)
                squats[who] += 1
                print(f"{frame.time:.1f} s: person {who}, squat {squats[who]}")
    return squats


if __name__ == "__main__":
    squats = count_squats(Estimator().stream(sys.argv[1], track=True, smooth=True))
    print(f"{sum(squats.values())} squats of {len(squats)} people")
