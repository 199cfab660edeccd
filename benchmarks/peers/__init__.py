"""Who gpuclust is timed against, one small file each; installs as ``gpuclust_peers``.

A peer has

- ``NEEDS``: the packages that it imports, each with the name that ``pip install`` takes;
- ``METHODS``: by the name of a reducer or clusterer a function ``(X, params, k, seed) -> labels
  (n,) or Z (n, m)``, where X is (n, d) float32 and params are ours, resolved; under ``unit`` a
  function ``(X, y, k, seed) -> results`` as `gpuclust.bench.work.prepare` describes them;
- ``SCORES``: by the name of a score a function ``(X, y, labels) -> float``;
- ``place``, where the library wants its own arrays: what X, y and labels are made of them outside
  the clock.  Results are NumPy arrays on the host, which also waits for a device;
- ``GPU = True`` where it works on a GPU: it is then warmed up on all samples.

All but ``NEEDS`` may be left out.
"""
