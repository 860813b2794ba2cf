import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    """The module ``toy.py`` beside this file."""
    pytest.importorskip("torch")
    pytest.importorskip("lightning_fabric")
    import torch

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("simfeatup_toy", Path(__file__).parent / "toy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["simfeatup_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def images(toy, tmp_path_factory):
    """Paths of six images of coloured blocks."""
    return toy.write_images(tmp_path_factory.mktemp("simfeatup") / "images")
