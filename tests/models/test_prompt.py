"""TMP and CFF: text to queries."""

import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.models.segclip.prompt import CrossModalFusion, TextMappingPrompt  # noqa: E402

CLASSES, TEXT, CHANNELS, QUERIES = 5, 12, 32, 9


@pytest.fixture
def prompt():
    torch.manual_seed(0)
    return TextMappingPrompt(TEXT, CHANNELS, QUERIES)


def test_queries_are_projected_text_padded_with_zero_rows_plus_context(prompt):
    text = torch.randn(CLASSES, TEXT)
    queries = prompt(text)
    assert queries.shape == (QUERIES, CHANNELS)
    torch.testing.assert_close(queries[:CLASSES] - prompt.context[:CLASSES], prompt.project(text))
    assert torch.equal(queries[CLASSES:], prompt.context[CLASSES:])  # no bias leaks into the padding


def test_query_k_stands_for_class_k(prompt):
    text = torch.randn(CLASSES, TEXT)
    order = torch.tensor([3, 0, 4, 1, 2])
    prompt.context.data.zero_()
    torch.testing.assert_close(prompt(text[order])[:CLASSES], prompt(text)[order])


def test_context_learns_for_blank_rows_too(prompt):
    prompt(torch.randn(CLASSES, TEXT)).square().sum().backward()
    assert (prompt.context.grad.abs().sum(1) > 0).all()


def test_fusion_reads_text_then_image_with_residuals():
    """Against torch's own attention, step by step."""
    torch.manual_seed(1)
    fusion = CrossModalFusion(CHANNELS, heads=4, feedforward=48)
    queries, visual, position = torch.randn(2, QUERIES, CHANNELS), torch.randn(2, 15, CHANNELS), torch.randn(1, 15, 32)

    def attend(block, x, key, value):
        reference = torch.nn.MultiheadAttention(CHANNELS, 4, batch_first=True)
        reference.in_proj_weight.data = torch.cat([block.q.weight, block.k.weight, block.v.weight])
        reference.in_proj_bias.data = torch.cat([block.q.bias, block.k.bias, block.v.bias])
        reference.out_proj = block.out
        return block.norm(x + reference(x, key, value)[0])

    x = attend(fusion.among_queries, queries, queries, queries)
    x = attend(fusion.to_image, x, visual + position, visual)
    hidden = torch.relu(fusion.feedforward.linear1(x))
    expected = fusion.feedforward.norm(x + fusion.feedforward.linear2(hidden))
    torch.testing.assert_close(fusion(queries, visual, position), expected, rtol=1e-5, atol=1e-5)
