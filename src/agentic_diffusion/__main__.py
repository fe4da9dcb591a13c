"""`python -m agentic_diffusion` is `agd`."""

import sys

from agentic_diffusion.cli.app import main

sys.exit(main())
