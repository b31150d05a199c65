"""Any function from images to boxes is a detector: here OpenCV's HOG pedestrian detector, which needs no network at all.

python examples/own_detector.py photograph"""

import sys

import cv2
import numpy as np

from toppose import Estimator

hog = cv2.HOGDescriptor()
hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())


def pedestrians(images):
    """A list of BGR images -> for each one (N, 5): x1, y1, x2, y2, score."""
    found = []
    for image in images:
        boxes, scores = hog.detectMultiScale(image)
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.append(np.column_stack([boxes, np.asarray(scores, float).ravel()]))
    return found


estimator = Estimator(detector=pedestrians, max_people=5)
print(estimator(sys.argv[1]).shape)
