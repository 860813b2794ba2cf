import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.export.product_conv import EnlargingConv, TiledConv, take_inputs  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)


def close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("size", [1, 2, 5, 13])
@torch.no_grad()
def test_enlarging_convolution_is_that_of_the_enlarged_map(size):
    conv, x = torch.nn.Conv2d(7, 5, 3, padding=1), torch.randn(2, 7, size, size)
    large = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    close(EnlargingConv(conv, size)(x), conv(large), 1e-5)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 13, 26])
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_tiles_give_what_the_sum_gives(size, bias):
    conv, x = torch.nn.Conv2d(7, 5, 3, padding=1, bias=bias), torch.randn(2, 7, size, size)
    close(TiledConv(conv, size)(x), conv(x), 1e-4)


@torch.no_grad()
def test_parts_of_a_convolution_add_up_to_it():
    conv, x = torch.nn.Conv2d(7, 5, 3, padding=1), torch.randn(2, 7, 6, 6)
    first, second = take_inputs(conv, 0, 3, bias=True), take_inputs(conv, 3, 7, bias=False)
    close(first(x[:, :3]) + second(x[:, 3:]), conv(x), 1e-5)
