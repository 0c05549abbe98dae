"""``python -m quatrefoil.cli``."""

import sys

from quatrefoil.cli import main

sys.exit(main())
