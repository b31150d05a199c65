"""Makes faces unrecognisable: python examples/blur_faces.py video-or-folder folder

Pictures go into the folder, one a frame. A face is where nose, eyes and ears are; of a head turned away nothing is blurred."""

import sys
from pathlib import Path

import cv2
import numpy as np

from toppose import Estimator

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


def blur_faces(image, poses):
    """The image with a blurred ellipse over each face."""
    blurred = cv2.GaussianBlur(image, (0, 0), max(image.shape) / 40)
    mask = np.zeros(image.shape[:2], np.uint8)
    joints = [poses.skeleton.joints.index(joint) for joint in FACE]
    for keypoints, scores in zip(poses.keypoints[:, joints], poses.scores[:, joints], strict=True):
        seen = keypoints[scores > 0.3]
        if len(seen) < 2:
            continue
        x, y = seen.mean(0)
        radius = 1.2 * max(np.ptp(seen[:, 0]), np.ptp(seen[:, 1]), 4)
        cv2.ellipse(mask, (int(x), int(y)), (int(radius), int(1.3 * radius)), 0, 0, 360, 255, -1)
    return np.where(mask[..., None] > 0, blurred, image)


source, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for frame in Estimator(detection_threshold=0.3).stream(source):
    cv2.imwrite(str(folder / f"{frame.index:06d}.jpg"), blur_faces(frame.image, frame.poses))
