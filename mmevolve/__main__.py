"""`python -m mmevolve` is the command line."""

import sys

from mmevolve.cli import main

sys.exit(main())
