"""Each Python with this folder in PYTHONPATH records what it reaches; see tests.mutants.reached."""

import tests.mutants.reached

tests.mutants.reached.record()
