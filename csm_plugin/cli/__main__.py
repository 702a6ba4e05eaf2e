"""`python -m csm_plugin.cli` is `csm`."""

from __future__ import annotations

import sys

from csm_plugin.cli import main

sys.exit(main())
