"""`python -m lstm_native` prints what this build consists of."""

from lstm_native._config import show_config

show_config()
