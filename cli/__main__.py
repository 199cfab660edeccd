"""`python -m gpuclust_cli`, or `python -m cli` from a bare checkout."""

from .main import main

main()
