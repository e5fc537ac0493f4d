"""Wrong answers that mistakes.py does not have: each module's ANSWERS, by lesson and exercise."""

import importlib
import pkgutil
from collections.abc import Callable

ANSWERS: dict[tuple[str, str], list[Callable]] = {}
for module in pkgutil.iter_modules(__path__, f"{__name__}."):
    ANSWERS |= importlib.import_module(module.name).ANSWERS
