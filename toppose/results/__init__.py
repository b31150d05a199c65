"""What is written of frames, one file a format: comes in `Frame`s, one by one; go out files, valid after every record; and these read back.

format        target by default            keeps, beside joints and their scores                           frames with nobody
jsonl         .jsonl .ndjson               index, time, path, size, ids, boxes, skeleton                   yes
json          .json                        the same                                                        yes
parquet       .parquet                     the same (extra `parquet`)                                      yes
coco-dataset                               the same                                                        yes
coco                                       index, ids, boxes                                               no
openpose      folder ending in json        index, time, path, size, ids, skeleton                          yes
sleap         .csv                         index, ids, score of the box                                    those between others, and before
dlc                                        index, ids                                                      yes, also those that were left out
video         .mp4 .m4v .mov .mkv .webm    pictures with times (extra `video`)
pictures      DIR/                         pictures
"""

from toppose.results.coco import CocoDataset, CocoResults
from toppose.results.csv import DlcCsv, SleapCsv
from toppose.results.document import Document
from toppose.results.jsonl import JsonLines
from toppose.results.openpose import OpenPose
from toppose.results.parquet import Parquet
from toppose.results.pictures import Pictures
from toppose.results.record import Record
from toppose.results.several import Several
from toppose.results.targets import FORMATS, format_of, open_writer, parse_target, read
from toppose.results.video import Video
from toppose.results.writer import Writer

__all__ = [
    "FORMATS",
    "CocoDataset",
    "CocoResults",
    "DlcCsv",
    "Document",
    "JsonLines",
    "OpenPose",
    "Parquet",
    "Pictures",
    "Record",
    "Several",
    "SleapCsv",
    "Video",
    "Writer",
    "format_of",
    "open_writer",
    "parse_target",
    "read",
]
