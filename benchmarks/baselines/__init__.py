"""Baselines: other libraries to time gpuclust against, one small file each.

Installed as ``gpuclust_baselines``.  A baseline has

- ``NEEDS``: the packages that it imports, each with the name for ``pip install``;
- ``METHODS``: by the name of a reducer or clusterer a function ``(X, params, k, seed) -> labels
  (n,) or Z (n, m)``, where X is (n, d) float32 and params are those of gpuclust, resolved; under
  ``unit`` a function ``(X, y, k, seed) -> results`` as in `gpuclust.bench.work.prepare`; under
  ``neighbors`` a function ``(X, k) -> indices (n, k)``, each sample among its own neighbors;
- ``SCORES``: by the name of a score a function ``(X, y, labels) -> float``;
- ``place``, where the library wants its own arrays: makes them of X, y and labels outside the
  clock.  Results are NumPy arrays on the host, which also waits for a device;
- ``GPU = True`` where it works on a GPU: its warm-up then gets all samples;
- ``facts``, optional: returns a dict that is added to its results.

Only ``NEEDS`` is required.
"""
