"""The people of a photograph, drawn: python examples/draw_poses.py [photograph] [picture]"""

import sys

import cv2

from toppose import Estimator

source = sys.argv[1] if len(sys.argv) > 1 else "examples/astronaut.jpg"
target = sys.argv[2] if len(sys.argv) > 2 else "poses.jpg"

poses = Estimator().predict(source)
for person in poses:
    x, y = person.keypoints[0, 0]
    print(f"nose at ({x:.0f}, {y:.0f}), score {person.scores[0, 0]:.2f}")
if not cv2.imwrite(target, poses.draw(source)):
    sys.exit(f"cannot write {target}")
