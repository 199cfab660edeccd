"""Decoding of image files: containers, colors, depth, and the check of a file's header."""
