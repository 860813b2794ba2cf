from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy(load_module):
    """The module ``toy.py`` beside this file."""
    return load_module(Path(__file__).parent / "toy.py")


@pytest.fixture(scope="session")
def images(toy, tmp_path_factory):
    """Paths of six images of coloured blocks."""
    return toy.write_images(tmp_path_factory.mktemp("simfeatup") / "images")
