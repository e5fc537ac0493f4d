"""What is imported exists on every system, and changes nothing of a notebook that imports it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

IMPORT_ALL = """
import pkgutil, sys
import huggingface_hub, psutil  # whose own modules differ from system to system
for name in {blocked!r}:
    sys.modules[name] = None
import minigpt
for module in pkgutil.walk_packages(minigpt.__path__, "minigpt."):
    __import__(module.name)
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_module_is_imported_where_fcntl_and_resource_do_not_exist():
    """As on Windows; readline, termios and pwd are of Unix alone as well."""
    python(IMPORT_ALL.format(blocked=["fcntl", "resource", "readline", "termios"]))


def test_importing_minigpt_leaves_the_backend_of_matplotlib_alone():
    code = "import matplotlib; matplotlib.use('svg')\n" + IMPORT_ALL.format(blocked=[])
    assert python(code + "print(matplotlib.get_backend(), 'matplotlib.pyplot' in sys.modules)") == "svg False\n"


def test_the_openmp_setting_that_came_too_late_is_said_once_when_a_run_trains_on_a_cpu():
    code = """
import warnings, {first}, {second}
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.text.examples import Example
from minigpt import GPT, GPTConfig
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        recipe = Recipe(steps=1, batch_size=1, micro_batch_size=1, lr=1.0, warmup_steps=0)
        Trainer(GPT(GPTConfig.named("tiny")), [Example([1, 2], [True, True], "row")], recipe)
print(sum("imported before minigpt" in str(one.message) for one in said))
"""
    assert python(code.format(first="minigpt", second="torch")) == "0\n"
    if sys.platform == "linux":
        unset = "import os; os.environ.pop('GOMP_SPINCOUNT', None)\n"
        assert python(unset + code.format(first="torch", second="minigpt")) == "1\n"
