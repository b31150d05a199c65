"""Whatever a user calls an image -> (H, W, 3) uint8 BGR, or an ImageError that says what came instead.

In comes a path, encoded bytes, an open file, a PIL image or an array; out go pixels. Who looks at them, and for what, is not this room's
concern. `read` chooses by type, `files` gets bytes, `signatures` says by the first of them what they are, `headers` says how large the picture
claims to be and how it is turned, `decode` and `jpeg` make pixels of them, `arrays` takes what is pixels already."""

from toppose.images.read import is_several, read_image, read_images
from toppose.images.types import MAX_PIXELS, Color, ImageLike, Pixels

__all__ = ["MAX_PIXELS", "Color", "ImageLike", "Pixels", "is_several", "read_image", "read_images"]
