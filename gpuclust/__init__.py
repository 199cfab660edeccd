"""gpuclust: which pretrained encoder, reduced and clustered how, sees the structure in your images?

Importing the package imports none of its heavy dependencies; each module does so when it is used.
"""

__version__ = "0.1.0"
