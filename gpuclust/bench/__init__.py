"""Time backends and baselines against each other, with the agreement beside every ratio.

Each implementation is a fresh process that imports, loads and warms up outside the clock; their
runs take turns, so that drift of the machine affects all of them.  Memory is VmHWM of these
processes since they were ready.

- `work`: a job, as plain values, becomes a function of the seed; `execute` calls the pipeline.
- `worker`, `runner`: the process of one implementation, and the comparison of several.
- `cases`, `results`: benchmarks as data, and their files; `unit`: the study's whole unit.
"""
