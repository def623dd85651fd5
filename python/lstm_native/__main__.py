"""`python -m lstm_native` prints what this build consists of."""

from lstm_native.config import show_config

show_config()
