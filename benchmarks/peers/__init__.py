"""Who gpuclust is timed against, one small file each; installs as ``gpuclust_peers``.

A peer has ``NEEDS``, the packages that it imports (they are optional), and ``METHODS``: by the
name of a reducer or clusterer a function ``(X, params, k, seed) -> labels (n,) or Z (n, m)``, where
X is (n, d) float32 and params are ours, resolved; under ``unit`` a function ``(X, y, k, seed) ->
results`` as `gpuclust.bench.work.prepare` describes them.
"""
