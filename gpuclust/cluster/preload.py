"""Setup of the worker processes that gpuclust starts; Dask imports it in each of them.

A terminal sends Ctrl-C to the whole group of processes.  Only the client may react: it lets the
running cells end and stops the workers.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
