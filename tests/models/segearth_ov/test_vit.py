"""The modified vision transformer against the published code and against open_clip's own."""

import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.segearth_ov.vit import ATTENTION, DenseViT, interpolate_position  # noqa: E402

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="module")
def visual():
    torch.manual_seed(0)
    return open_clip.CLIP(**TINY).eval().requires_grad_(False).visual


@pytest.mark.parametrize("residual", ["residual", "noresidual"])
@pytest.mark.parametrize("variant", ATTENTION)
@pytest.mark.parametrize("size", [64, 96])
def test_tokens_are_the_published_ones(golden, relative_error, size, variant, residual):
    tensors, settings = golden(f"segearth_vit_{size}")
    visual = open_clip.CLIP(**settings["clip"]).eval().requires_grad_(False).visual
    visual.load_state_dict({k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")})
    vit = DenseViT(visual, variant, ignore_residual=residual == "noresidual")
    tokens, class_token = vit(tensors["input.image"])
    assert relative_error(tokens.flatten(1, 2), tensors[f"output.{variant}.{residual}.tokens"]) <= 1e-5
    assert relative_error(class_token, tensors[f"output.{variant}.{residual}.cls"]) <= 1e-5


def test_vanilla_with_residual_is_open_clips_own(visual):
    image = torch.randn(2, 3, 32, 32)
    _, class_token = DenseViT(visual, "vanilla", ignore_residual=False)(image)
    torch.testing.assert_close(class_token, visual(image), rtol=1e-5, atol=1e-5)


def test_grid_of_an_oblong_image_is_height_by_width(visual):
    vit = DenseViT(visual, "SegEarth", ignore_residual=True)
    tokens, class_token = vit(torch.randn(1, 3, 24, 56))
    assert tokens.shape == (1, 3, 7, 24)
    assert class_token.shape == (1, 24)
    assert (vit.patch_size, vit.channels) == (8, 24)


def test_position_of_the_own_grid_is_kept_and_rows_stay_rows():
    position = torch.randn(1 + 12, 5)
    assert interpolate_position(position, (4, 3), (4, 3)) is position
    rows = torch.arange(4.0)[:, None].expand(4, 3).reshape(12, 1)  # the embedding of a patch is its row
    other = interpolate_position(torch.cat((torch.full((1, 1), 9.0), rows)), (4, 3), (8, 5))
    assert other.shape == (41, 1)
    assert other[0, 0] == 9
    grid = other[1:].reshape(8, 5)
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 5))
    assert (grid.diff(dim=0)[1:-1] > 0).all()


def test_an_image_tower_that_is_no_plain_transformer_is_refused():
    resnet = open_clip.get_model_config("RN50")["vision_cfg"] | {"layers": [1, 1, 1, 1], "width": 8}
    for vision in (resnet, TINY["vision_cfg"] | {"attentional_pool": True}):
        visual = open_clip.CLIP(**TINY | {"vision_cfg": vision}).visual
        with pytest.raises(UsageError, match="plain vision transformer, for instance ViT-B-16"):
            DenseViT(visual, "SegEarth", ignore_residual=True)
