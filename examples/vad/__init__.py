"""The parts of `voice_activity.py` around its LSTM.

In docstrings T is a number of frames, S a number of samples, H the LSTM's hidden size.
"""
