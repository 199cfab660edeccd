"""Folders of images as people have them: listing, names that are ignored, classes and splits."""
