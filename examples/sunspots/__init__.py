"""The parts of `forecast.py` around its LSTM.

In docstrings S is a number of years, T a number of steps in a window, N a number of windows, H the
LSTM's hidden size.
"""
