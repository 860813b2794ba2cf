import pytest


@pytest.fixture(scope="session")
def small_tiny():
    """A small SegEarth-OV network with random weights and text features of 8 numbers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("open_clip")
    from rsseg_edge.models.segearth_ov.tiny import SegEarthOVTiny
    from rsseg_edge.models.segearth_ov.tiny.config import load_config

    config = load_config("segearth-ov-tiny")
    config = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"name": "lcnet_035", "weights": ""}),
            "vit": config.vit.model_copy(update={"size": 64, "width": 16, "layers": 2, "heads": 2}),
            "text": config.text.model_copy(update={"dim": 8}),
            "inference": config.inference.model_copy(update={"slide_crop": 64, "slide_stride": 32}),
        }
    )

    def build(upsampler=None):
        torch.manual_seed(0)
        network = SegEarthOVTiny(config, upsampler)
        network.text_mean.copy_(torch.linspace(-0.2, 0.2, 8))
        return network

    return build
