"""Logit adjustment: what is common is preferred less, and the network's shares say so."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from rsseg_edge.datasets.sample import IGNORE, Sample  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.training.adjust import MOST_IMAGES, label_adjustment  # noqa: E402
from rsseg_edge.training.task import FPNTask  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402


class Samples(list):
    classes = ClassTable(("a", "b", "c"), ((1, 0, 0), (2, 0, 0), (3, 0, 0)))
    read = 0

    def __getitem__(self, index):
        self.read += 1
        return super().__getitem__(index)


def sample(*counts):
    labels = np.repeat(np.array([0, 1, 2, IGNORE], np.uint8), counts)[None]
    return Sample(np.zeros((*labels.shape, 3), np.uint8), labels, "x")


def test_the_adjustment_is_tau_times_the_logarithm_of_the_frequency():
    data = Samples([sample(6000, 1000, 0, 500), sample(1999, 999, 0, 7)])  # with one more of each: 8000, 2000, 1
    expected = -0.5 * np.log(np.array([8000, 2000, 1]) / 10001)
    np.testing.assert_allclose(label_adjustment(data, 0.5).numpy(), expected - expected[2], rtol=1e-6)
    assert label_adjustment(data, 0.0).tolist() == [0, 0, 0]


def test_of_many_images_only_some_are_read():
    data = Samples([sample(10, 5, 5, 0)] * 5 * MOST_IMAGES)
    label_adjustment(data, 1.0)
    assert data.read == MOST_IMAGES


def test_adjusted_shares_sum_to_one_and_prefer_as_told(small):
    task = small.small_segclip().eval()
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        plain = task.network.shares(image)
        adjustment = torch.tensor([0.0, -1.0, 0.0, 0.0, -0.5])
        task.adjust(adjustment)
        adjusted = task.network.shares(image)
    expected = (plain.log() + adjustment.view(1, -1, 1, 1)).softmax(1)
    torch.testing.assert_close(adjusted, expected)
    assert "adjustment" in task.network.state_dict(), "a checkpoint carries it"


def test_the_baseline_stays_plain():
    with pytest.raises(UsageError, match="set adjust to 0"):
        FPNTask(torch.nn.Identity()).adjust(torch.zeros(3))
