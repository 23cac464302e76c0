"""`python -m attnkit.cli`, for where the command `attn` is not on the path."""

import sys

from attnkit.cli.app import main

sys.exit(main())
