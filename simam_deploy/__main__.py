"""`python -m simam_deploy` is `simam`."""

import sys

from simam_deploy.cli import main

sys.exit(main())
