"""What the tests of grids have in common."""

from gpuclust.device import backend

CPU = backend.select("cpu")
GRID = """
dataset = "digits"
encoder = "raw"
reducer = ["none", "pca(10)"]
clusterer = ["kmeans", "agglomerative", "hdbscan"]
seed = [0, 1]
metrics = "external"
"""
