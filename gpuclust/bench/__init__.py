"""Timing one engine against another: fair, repeatable, with the agreement beside every ratio.

Each side of a comparison is a fresh process that imports, loads and warms up outside the clock;
runs of the sides take turns, so that drift of the machine hits both.  Memory is VmHWM of these
processes from then on.
"""
