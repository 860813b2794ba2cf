import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small():
    """The module ``small_run.py`` beside this file, which is also run as a script."""
    pytest.importorskip("torch")
    pytest.importorskip("lightning_fabric")
    import torch

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("small_run", Path(__file__).parent / "small_run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_run"] = module
    spec.loader.exec_module(module)
    return module
