"""Single parts against a plain way to write the same thing."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
import torch.nn.functional as F  # noqa: E402

from rsseg_edge.models.cris.decoder import sine_position, sine_position_2d  # noqa: E402
from rsseg_edge.models.cris.neck import coordinates  # noqa: E402
from rsseg_edge.models.cris.projector import Projector  # noqa: E402


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_the_written_convolution_is_a_grouped_one(size):
    torch.manual_seed(2)
    batch, channels = 3, 8
    projector = Projector(channels, 5).eval()
    x, state = torch.randn(batch, channels, *size), torch.randn(batch, 5)
    with torch.no_grad():
        pixels = projector.pixel(projector.upsample(x))
        written = projector.state(state)
        weight = written[:, :-1].reshape(batch, channels // 2, 3, 3)
        grouped = F.conv2d(pixels.flatten(0, 1)[None], weight, written[:, -1], padding=1, groups=batch)
        torch.testing.assert_close(projector(x, state), grouped.transpose(0, 1), rtol=1e-5, atol=1e-5)


def test_attention_pool_is_attention_of_every_position_to_every_other(small):
    pool = small.vision.net.attnpool
    x = torch.randn(2, pool.q_proj.in_features, 3, 5)
    channels = x.shape[1]
    reference = torch.nn.MultiheadAttention(channels, pool.heads, batch_first=True)
    reference.in_proj_weight.data = torch.cat([p.weight for p in (pool.q_proj, pool.k_proj, pool.v_proj)])
    reference.in_proj_bias.data = torch.cat([p.bias for p in (pool.q_proj, pool.k_proj, pool.v_proj)])
    torch.nn.init.eye_(reference.out_proj.weight)
    with torch.no_grad():
        tokens = x.flatten(2).transpose(1, 2) + pool.position(3, 5)
        mixed = pool.c_proj(reference(tokens, tokens, tokens)[0]).transpose(1, 2).reshape(2, -1, 3, 5)
        torch.testing.assert_close(pool(x), torch.relu(mixed + pool.connect(x)), rtol=1e-5, atol=1e-5)


def test_position_embedding_at_its_own_size_loses_its_class_entry_alone(small):
    pool = small.vision.net.attnpool
    torch.testing.assert_close(pool.position(pool.grid, pool.grid)[0], pool.positional_embedding[1:])


def test_sine_positions_are_the_formula():
    positions = sine_position(7, 12, torch.zeros(1))
    for position in range(7):
        for pair in range(6):
            angle = position / 10000 ** (2 * pair / 12)
            assert positions[position, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-6)
            assert positions[position, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_positions_of_a_map_hold_the_column_and_then_the_row():
    like = torch.zeros(1)
    positions = sine_position_2d(3, 5, 16, like).unflatten(0, (3, 5))
    for row in range(3):
        for column in range(5):
            torch.testing.assert_close(positions[row, column, :8], sine_position(5, 8, like)[column])
            torch.testing.assert_close(positions[row, column, 8:], sine_position(3, 8, like)[row])


def testcoordinates_run_from_minus_one_to_one_columns_first():
    columns, rows = coordinates(torch.zeros(2, 4, 3, 5))[1]
    assert columns[0].tolist() == columns[2].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert rows[:, 0].tolist() == rows[:, 4].tolist() == [-1, 0, 1]


def test_text_is_clips_own(small_config):
    """A sentence of the full context length through open_clip's forward gives the same state."""
    from rsseg_edge.models.cris.text_encoder import TextEncoder

    torch.manual_seed(3)
    text = TextEncoder(small_config.model_copy(update={"word_length": 12})).eval()
    words = torch.tensor([[98, *range(1, 11), 99], [98, 4, 99, *[0] * 9]])
    with torch.no_grad():
        torch.testing.assert_close(text(words)[1], text.net(words))
