"""Readers and writers of model files, one module per format.

A reader lists the LSTMs of a file (`Found`) and turns one into a `Description`: plain data, from
which `Model` is made. Other libraries are imported inside functions, when a file needs them.
"""
