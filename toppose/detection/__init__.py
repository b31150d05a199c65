"""Where person boxes come from: networks, callables and Ultralytics' own package; each checked. Comes in: images; go out: boxes and scores."""

from toppose.detection.boxes import check_box_list, check_boxes
from toppose.detection.detector import Detector, detect, make_detector
from toppose.detection.network import NetworkDetector

__all__ = ["Detector", "NetworkDetector", "check_box_list", "check_boxes", "detect", "make_detector"]
