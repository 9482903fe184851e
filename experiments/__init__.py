"""Everything that runs, measures or shows a model: commands, and rooms for the rest."""

import sys

from experiments.console.interrupts import leave_at_once

if sys.argv[:1] == ["-m"]:  # a command of ours is being looked up: before all imports
    leave_at_once()
