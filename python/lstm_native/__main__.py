"""`python -m lstm_native`: `--help` lists the commands."""

import sys

from lstm_native._command_line import main

sys.exit(main())
