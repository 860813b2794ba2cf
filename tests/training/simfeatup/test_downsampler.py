"""The learned downsampler: a mean over the patch, whose weights see every channel though few are passed."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.training.simfeatup.downsampler import AttentionDownsampler, blur  # noqa: E402


def downsampler(channels=6, patch=4):
    torch.manual_seed(0)
    module = AttentionDownsampler(channels, patch).eval().requires_grad_(False).double()
    for parameter in module.parameters():
        parameter.copy_(torch.randn(parameter.shape))
    return module


def apply(module, features):
    return module(features, features @ module.query(len(features))[:, None])


def test_shapes_of_an_oblong_image():
    assert apply(downsampler(), torch.randn(2, 12, 20, 6, dtype=torch.float64)).shape == (2, 3, 5, 6)


def test_constants_are_averaged_exactly():
    constant = torch.tensor([3.0, -1.5, 0.0, 2.0, 7.0, 1e3], dtype=torch.float64).expand(1, 8, 12, 6)
    for module in (downsampler(), downsampler().train()):
        torch.testing.assert_close(apply(module, constant), constant[:, ::4, ::4], atol=0, rtol=1e-14)


def test_a_projection_commutes():
    module, features = downsampler(), torch.randn(2, 8, 8, 6, dtype=torch.float64)
    projection = torch.randn(2, 6, 3, dtype=torch.float64)
    attention = features @ module.query(2)[:, None]
    projected = module(features @ projection[:, None], attention)
    torch.testing.assert_close(projected, module(features, attention) @ projection[:, None])


def test_against_the_published_steps():
    """Blur, unfold, attention of every pixel, softmax, mean."""
    module, features = downsampler(), torch.randn(1, 8, 12, 6, dtype=torch.float64)
    offsets = torch.arange(-2.0, 3, dtype=torch.float64)
    line = torch.exp(-offsets.square() / 2)
    kernel = torch.outer(line, line) / line.sum() ** 2
    padded = F.pad(features.permute(0, 3, 1, 2), [2] * 4, mode="reflect")
    blurred = F.conv2d(padded, kernel.expand(6, 1, 5, 5), groups=6)
    torch.testing.assert_close(blur(features), blurred.permute(0, 2, 3, 1))
    patches = F.unfold(blurred, 4, stride=4).reshape(6, 16, 2, 3).permute(2, 3, 1, 0)
    logits = module.attention(patches)[..., 0] * module.w.flatten() + module.b.flatten()
    expected = (patches * logits.softmax(-1)[..., None]).sum(2)
    torch.testing.assert_close(apply(module, features)[0], expected)


def test_attention_picks_pixels():
    module = downsampler()
    module.attention.weight.zero_()
    module.attention.weight[0, 2] = 1000.0
    module.attention.bias.zero_()
    module.w.fill_(1.0)
    module.b.zero_()
    features = torch.zeros(1, 4, 4, 6, dtype=torch.float64)
    features[0, 1, 2] = torch.tensor([5.0, 0, 1, 0, 0, 0])
    peak = blur(features)[..., 0].max()  # where the attention, blurred likewise, is highest too
    torch.testing.assert_close(apply(module, features)[0, 0, 0, 0], peak, atol=0.05, rtol=0)
    module.w.zero_()
    torch.testing.assert_close(apply(module, features)[0, 0, 0, 0], blur(features)[..., 0].mean())


def test_dropout_is_of_training_alone():
    module = downsampler(channels=400)
    assert torch.equal(module.query(3), module.attention.weight.T.expand(3, -1, 1))
    dropped = module.train().query(3)[..., 0] == 0
    assert 0.1 < dropped.double().mean() < 0.3
    assert not torch.equal(dropped[0], dropped[1])
