"""The main jobs as functions: embed images, run one cell, run a grid, read the results.

They are offered as ``gpuclust.embed``, ``gpuclust.run``, ``gpuclust.run_grid`` and
``gpuclust.results``, and share their folder of results with the command line.
"""
