"""`python -m attnkit`, for where the command `attn` is not on the path, and for torchrun."""

import sys

from attnkit.cli.app import main

sys.exit(main())
