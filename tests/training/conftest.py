import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def load_module():
    """Imports a file that trains something small, on one thread; skips where training is not installed."""

    def load(path: Path):
        pytest.importorskip("lightning_fabric")
        pytest.importorskip("torch").set_num_threads(1)
        name = f"{path.parent.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def small(load_module):
    """The module ``small_run.py`` beside this file, which is also run as a script."""
    return load_module(Path(__file__).parent / "small_run.py")
