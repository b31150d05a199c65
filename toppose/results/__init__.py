"""What is written of frames, one file a format: comes in `Frame`s, one by one; go out files, valid after every record."""
