"""For each place of the package that a learner's function can take: a check that does not go through that function.

Under --mine a test that compares the fast form with the explicit one compares the learner's function with itself.
These compare with something else: each raises an error for a wrong function in its place. A module's ORACLES are those
of its lesson's places.
"""

import importlib
import pkgutil
from collections.abc import Callable

ORACLES: dict[str, Callable[[], None]] = {}
for module in pkgutil.iter_modules(__path__, f"{__name__}."):
    ORACLES |= importlib.import_module(module.name).ORACLES
