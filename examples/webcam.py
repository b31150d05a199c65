"""People in front of a webcam, in a window: python examples/webcam.py [webcam's number, video or address]

q or Escape ends it. Only the newest frame is looked at, so that what you see is now."""

import sys

import cv2

from toppose import Estimator

source = sys.argv[1] if len(sys.argv) > 1 else "0"
with Estimator().stream(source, track=True, smooth=True) as frames:
    for frame in frames:
        cv2.imshow("people", frame.poses.draw(frame.image))
        if cv2.waitKey(1) & 0xFF in (27, ord("q")):
            break
    print(f"{frames.source.dropped} frames dropped")
