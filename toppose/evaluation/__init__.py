"""What a network is worth: comes in an estimator and an annotated set; goes out a report."""

from toppose.evaluation.coco import CocoSet, read_coco, read_detections
from toppose.evaluation.keypoints import describe, evaluate

__all__ = ["CocoSet", "describe", "evaluate", "read_coco", "read_detections"]
