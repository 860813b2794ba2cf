"""The task: exact rewrites, gradients where they belong, a loss that falls, and a gain over bilinear upsampling."""

import copy

import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402
from rsseg_edge.training.simfeatup.crops import ImageCrops  # noqa: E402
from rsseg_edge.training.simfeatup.task import random_projection, to_size  # noqa: E402
from rsseg_edge.training.simfeatup.validate import gain_over_bilinear  # noqa: E402


def batch(toy, images, size=2):
    return ImageCrops(images, toy.SIZE, 0).first(size).float()


@pytest.mark.parametrize("kind", ["jbu_one", "jbu_stack"])
def test_maps_of_the_channels_commute_with_the_upsampling(kind):
    torch.manual_seed(0)
    upsampler = SimFeatUp(10, kind).eval().requires_grad_(False).double()
    tokens, guidance = torch.randn(2, 3, 4, 10).double(), torch.randn(2, 3, 48, 64).double()
    maps, kernels = torch.randn(2, 10, 3).double(), upsampler.kernels(guidance, (3, 4))
    few, all_ = upsampler.upsample(tokens, kernels, maps), upsampler.upsample(tokens, kernels)
    assert few.shape == (2, 48, 64, 3)
    torch.testing.assert_close(few, all_ @ maps[:, None])


def test_the_loss_is_that_of_all_channels(toy, images):
    """Against the published steps, on all the upsampled channels."""
    task, image = toy.small_task().eval(), batch(toy, images)
    torch.manual_seed(9)
    terms = task(image)
    torch.manual_seed(9)
    normalised = task.features.normalised(image)
    tokens = task.features.tokens(normalised)
    projection = random_projection(2, toy.CHANNELS, 8)[:, None]
    high = task.network(tokens.permute(0, 3, 1, 2), normalised).permute(0, 2, 3, 1)
    features, reconstruction = 0.0, 0.0
    for jitter in task.draw_jitters(normalised):
        view, moved = jitter(normalised.permute(0, 2, 3, 1)), jitter(high)
        target = task.features.tokens(view.permute(0, 3, 1, 2))
        down = task.downsampler(moved, moved @ task.downsampler.query(2)[:, None])
        scale = task.uncertainty(target)
        error = (down @ projection - target @ projection).square()
        features += (error / (2 * scale**2) + scale.log()).mean() / 2
        painted = task.painter.rest(task.painter.first(moved))
        reconstruction += 0.1 * (painted - view).square().mean() / 2
    torch.testing.assert_close(terms["features"], features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(terms["image"], reconstruction, atol=1e-5, rtol=1e-5)


def test_everything_learns_but_the_transformer(toy, images):
    vit = toy.ToyViT()
    task = toy.small_task(vit=vit)
    sum(task(batch(toy, images)).values()).backward()
    assert vit.calls == 1 + toy.LOSS.jitters
    assert vit.weight.grad is None
    assert [name for name, parameter in task.named_parameters() if parameter.grad is None] == []
    assert not any("vit" in name or "features" in name for name in task.state_dict())
    assert copy.deepcopy(task).features is task.features


def test_one_step_lowers_the_loss(toy, images):
    task, image = toy.small_task().eval(), batch(toy, images)  # without dropout

    def loss():
        torch.manual_seed(0)
        return sum(task(image).values())

    first = loss()
    first.backward()
    optimizer = torch.optim.NAdam(task.parameters(), lr=1e-3)
    optimizer.step()
    assert loss() < first


def test_training_beats_bilinear_upsampling(toy, tmp_path):
    images = toy.write_images(tmp_path, 20)
    task, crops = toy.small_task(), ImageCrops(images[-2:], toy.SIZE, 7).first(6)
    before = gain_over_bilinear(task.eval(), crops)
    optimizer = torch.optim.NAdam(task.train().parameters(), lr=3e-3)
    for (image,) in ImageCrops(images[:-2], toy.SIZE, 0).batches(2, 0, 30):
        optimizer.zero_grad()
        sum(task(image).values()).backward()
        optimizer.step()
    after = gain_over_bilinear(task.eval(), crops)
    assert after > max(0.1, before)
    assert after == gain_over_bilinear(task, crops)  # the same views every time


def test_other_patches_than_sixteen_are_resized(toy):
    x = torch.rand(1, 32, 48, 2)
    assert to_size(x, (28, 42)).shape == (1, 28, 42, 2)
    assert to_size(x, (32, 48)) is x
