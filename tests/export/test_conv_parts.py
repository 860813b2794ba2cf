import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.export.conv_parts import ConvRelu, UpsampleConvRelu, fold, take_inputs  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)


def close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < tolerance * expected.abs().max()


@torch.no_grad()
def test_a_folded_block_is_the_block():
    block = torch.nn.Sequential(torch.nn.Conv2d(7, 5, 3, padding=1, bias=False), torch.nn.BatchNorm2d(5)).eval()
    for name in ("running_mean", "running_var", "weight", "bias"):
        torch.nn.init.uniform_(getattr(block[1], name), 0.5, 1.5)
    x = torch.randn(2, 7, 4, 6)
    close(fold(block)(x), block(x))


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_an_operator_is_the_convolution_with_its_relu(bias):
    conv, x = torch.nn.Conv2d(7, 5, 3, padding=1, bias=bias), torch.randn(2, 7, 4, 6)
    addend = torch.randn(1, 5, 4, 6)
    close(ConvRelu(conv)(x), conv(x).relu())
    close(ConvRelu(conv, addend)(x), (conv(x) + addend).relu())


@torch.no_grad()
def test_an_enlarging_operator_is_the_convolution_of_the_enlarged_map():
    conv, x, detail = torch.nn.Conv2d(7, 5, 3, padding=1), torch.randn(2, 7, 3, 4), torch.randn(1, 5, 6, 8)
    large = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    close(UpsampleConvRelu(conv)(x), conv(large).relu())
    close(UpsampleConvRelu(conv)(x, detail), (conv(large) + detail).relu())


@torch.no_grad()
def test_parts_of_a_convolution_add_up_to_it():
    conv, x = torch.nn.Conv2d(7, 5, 3, padding=1), torch.randn(2, 7, 6, 6)
    first, second = take_inputs(conv, 0, 3, bias=True), take_inputs(conv, 3, 7, bias=False)
    close(first(x[:, :3]) + second(x[:, 3:]), conv(x))
