"""The masked-attention decoder against transformers' Mask2Former, and guidance that must not leak."""

import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.models.segclip.config import DecoderConfig  # noqa: E402
from rsseg_edge.models.segclip.decoder import DecoderLayer, Guidance, MaskedDecoder, as_mask_logits  # noqa: E402

CHANNELS, QUERIES, CLASSES, HEADS, LAYERS = 32, 11, 5, 4, 9
CONFIG = DecoderConfig(queries=QUERIES, layers=LAYERS, heads=HEADS, feedforward=48)


def spread(module, std=0.15):
    """Random weights everywhere, so that no block is near the identity."""
    for name, parameter in module.named_parameters():
        is_scale = name.endswith("weight") and parameter.ndim == 1
        torch.nn.init.normal_(parameter, mean=float(is_scale), std=std)
    return module


def pyramid(height, width, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(batch, CHANNELS, height // s, width // s, generator=generator) for s in (32, 16, 8, 4)]
    return maps[:3], maps[3]


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    return spread(MaskedDecoder(CHANNELS, CLASSES, CONFIG)).train()


@pytest.fixture(scope="module")
def oracle(decoder):
    """Mask2Former's transformer module with our weights."""
    pytest.importorskip("transformers")
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerTransformerModule

    config = Mask2FormerConfig(
        hidden_dim=CHANNELS, mask_feature_size=CHANNELS, num_queries=QUERIES, num_attention_heads=HEADS,
        dim_feedforward=48, decoder_layers=LAYERS + 1, dropout=0.0, enforce_input_projection=False, pre_norm=False,
    )  # fmt: skip
    theirs = Mask2FormerTransformerModule(CHANNELS, config).train()
    ours = decoder.state_dict()
    state = {
        "queries_embedder.weight": ours["position"],
        "level_embed.weight": ours["level"],
        "decoder.layernorm.weight": ours["norm.weight"],
        "decoder.layernorm.bias": ours["norm.bias"],
        "queries_features.weight": torch.randn(QUERIES, CHANNELS),
    }
    for i in range(3):
        for part in ("weight", "bias"):
            state[f"decoder.mask_predictor.mask_embedder.{i}.0.{part}"] = ours[f"mask_embed.{2 * i}.{part}"]
    for i in range(LAYERS):
        mine, other = f"layers.{i}", f"decoder.layers.{i}"
        for part in ("weight", "bias"):
            inputs = [ours[f"{mine}.cross_attention.{n}.{part}"] for n in "qkv"]
            state[f"{other}.cross_attn.in_proj_{part}"] = torch.cat(inputs)
            for name, their_name in (
                ("cross_attention.out", "cross_attn.out_proj"),
                ("cross_attention.norm", "cross_attn_layer_norm"),
                *((f"self_attention.{n}", f"self_attn.{n}_proj") for n in "qkv"),
                ("self_attention.out", "self_attn.out_proj"),
                ("self_attention.norm", "self_attn_layer_norm"),
                ("feedforward.linear1", "fc1"),
                ("feedforward.linear2", "fc2"),
                ("feedforward.norm", "final_layer_norm"),
            ):
                state[f"{other}.{their_name}.{part}"] = ours[f"{mine}.{name}.{part}"]
    theirs.load_state_dict(state)  # strict: every tensor of theirs
    return theirs


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 160)])
def test_masked_decoder_equals_mask2formers(decoder, oracle, height, width):
    """Ours resizes E once a level, theirs resizes every mask: both are linear, so equal to rounding.

    A mask logit within rounding of 0 may fall on the other side of the threshold and open or close one pixel to one
    query; none does in these inputs, and the tolerance would show it.
    """
    memory, embedding = pyramid(height, width)
    queries = oracle.queries_features.weight.expand(2, -1, -1)
    with torch.no_grad():
        predictions, guided = decoder(queries, memory, embedding)
        expected = oracle(memory, embedding)
    assert guided == []
    assert len(predictions) == len(expected.masks_queries_logits) == LAYERS + 1
    for got, masks, normed in zip(
        predictions, expected.masks_queries_logits, expected.intermediate_hidden_states, strict=True
    ):
        assert masks.std() > 0.5
        torch.testing.assert_close(got.mask_logits, masks, rtol=1e-4, atol=1e-4)
        classes = decoder.classify(normed.transpose(0, 1))
        torch.testing.assert_close(got.class_logits, classes, rtol=1e-4, atol=1e-4)


def test_evaluation_makes_the_last_prediction_alone_and_the_same(decoder):
    memory, embedding = pyramid(64, 96)
    queries = torch.randn(2, QUERIES, CHANNELS)
    with torch.no_grad():
        last = decoder(queries, memory, embedding)[0][-1]
        decoder.eval()
        predictions = decoder(queries, memory, embedding)[0]
        decoder.train()
    assert len(predictions) == 1
    torch.testing.assert_close(predictions[0].mask_logits, last.mask_logits, rtol=1e-5, atol=1e-5)


def guidance(batch, count, height, width, seed=5):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(batch, count, height, width, generator=generator) < 0.2
    present = torch.ones(batch, count, dtype=torch.bool)
    present[0, 1] = False
    masks[~present] = False
    return Guidance(torch.randn(batch, count, CHANNELS, generator=generator), masks, present)


def test_guidance_queries_leak_nothing(decoder):
    """In training mode, to the last bit, in every layer and for any number of guidance queries."""
    assert decoder.training
    memory, embedding = pyramid(96, 160)
    queries = torch.randn(2, QUERIES, CHANNELS)
    alone, none = decoder(queries, memory, embedding)
    assert none == []
    for count in (2, 5):
        steered, guided = decoder(queries, memory, embedding, guidance(2, count, 96, 160))
        assert len(guided) == LAYERS + 1
        assert guided[-1].class_logits.shape == (2, count, CLASSES + 1)
        for a, b in zip(alone, steered, strict=True):
            assert torch.equal(a.class_logits, b.class_logits)
            assert torch.equal(a.mask_logits, b.mask_logits)


def test_reconstruction_queries_learn_nothing_from_guidance_queries(decoder):
    """The same through gradients: guidance inputs have no path to the reconstruction queries' predictions."""
    memory, embedding = pyramid(64, 96)
    steer = guidance(2, 3, 64, 96)
    steer.queries.requires_grad_()
    queries = torch.randn(2, QUERIES, CHANNELS, requires_grad=True)
    predictions, guided = decoder(queries, memory, embedding, steer)
    total = sum(p.class_logits.sum() + p.mask_logits.sum() for p in predictions)
    assert torch.autograd.grad(total, steer.queries, retain_graph=True, allow_unused=True) == (None,)
    seen = torch.autograd.grad(guided[-1].mask_logits.sum(), queries)[0]  # the other way round they may look
    assert seen.abs().sum() > 0


def test_two_calls_of_self_attention_are_one_with_a_block_mask():
    torch.manual_seed(2)
    layer = spread(DecoderLayer(CHANNELS, CONFIG))
    others, guided = torch.randn(2, QUERIES, CHANNELS), torch.randn(2, 4, CHANNELS)
    position, guided_position = torch.randn(QUERIES, CHANNELS), torch.randn(1, CHANNELS)
    present = torch.tensor([[True, False, True, True], [True, True, True, False]])
    both = torch.cat((others, guided), 1)
    places = torch.cat((position, guided_position.expand(4, -1)))
    allowed = torch.zeros(2, QUERIES + 4, QUERIES + 4, dtype=torch.bool)
    allowed[:, :, :QUERIES] = True  # everyone sees the reconstruction queries
    allowed[:, QUERIES:, QUERIES:] = present[:, None]  # guidance queries see those whose class is there
    with torch.no_grad():
        expected = layer.feedforward(layer.self_attention(both, both, places, places, as_mask_logits(allowed)))
        first = layer.attend_to_queries(others, position)
        second = layer.attend_to_all(guided, guided_position, others, position, present)
    torch.testing.assert_close(torch.cat((first, second), 1), expected, rtol=1e-5, atol=1e-5)


def test_a_guidance_query_reads_the_image_inside_its_true_mask_only(decoder, monkeypatch):
    # Self-attention passes on what the reconstruction queries see of the image: it is left out here.
    monkeypatch.setattr(DecoderLayer, "attend_to_all", lambda self, guided, *others: guided)
    memory, embedding = pyramid(96, 160, batch=1)
    masks = torch.zeros(1, 2, 96, 160, dtype=torch.bool)
    masks[0, 0, 33:40, 65:72] = True  # one cell of every level
    masks[0, 1, 64:, 96:] = True
    steer = Guidance(torch.randn(1, 2, CHANNELS), masks, torch.ones(1, 2, dtype=torch.bool))
    inside = [torch.nn.functional.max_pool2d(masks.float(), s).amax(1, keepdim=True) > 0 for s in (32, 16, 8)]
    assert [int(i.sum()) for i in inside] == [1 + 2, 1 + 8, 1 + 32]
    outside_changed = [torch.where(i, m, m + 10) for i, m in zip(inside, memory, strict=True)]
    inside_changed = [torch.where(i, m + 10, m) for i, m in zip(inside, memory, strict=True)]
    queries = torch.zeros(1, QUERIES, CHANNELS)
    before, outside, within = (
        decoder(queries, m, embedding, steer)[1] for m in (memory, outside_changed, inside_changed)
    )
    for b, o, w in zip(before[1:], outside[1:], within[1:], strict=True):
        assert torch.equal(b.class_logits, o.class_logits)
        assert torch.equal(b.mask_logits, o.mask_logits)
        assert not torch.equal(b.class_logits, w.class_logits)


def test_guidance_of_an_absent_class_is_seen_by_nobody(decoder):
    memory, embedding = pyramid(64, 96)
    steer = guidance(2, 4, 64, 96)
    other = Guidance(steer.queries.clone(), steer.masks.clone(), steer.present)
    other.queries[0, 1] += 5  # the class that image 0 lacks
    before, after = (decoder(torch.zeros(2, QUERIES, CHANNELS), memory, embedding, g)[1] for g in (steer, other))
    for a, b in zip(before[1:], after[1:], strict=True):
        kept = steer.present
        torch.testing.assert_close(a.class_logits[kept], b.class_logits[kept], rtol=0, atol=0)
        assert not torch.equal(a.class_logits[~kept], b.class_logits[~kept])
