"""Backend and grid file shared by the tests of grids."""

from gpuclust.device import backend

CPU = backend.select("cpu")
SAMPLES = 450
GRID = """
dataset = "digits"
encoder = "raw"
reducer = ["none", "pca(10)"]
clusterer = ["kmeans", "agglomerative", "hdbscan"]
seed = [0, 1]
metrics = "external"
"""
