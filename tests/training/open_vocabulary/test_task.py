import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.training.open_vocabulary.task import ABSENT, DRAWS, OpenVocabularyTask, patch_shares  # noqa: E402


def unit(*shape):
    return F.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture
def task(small_tiny):
    torch.manual_seed(1)
    members = torch.tensor([[True, False], [False, True], [True, True]])
    return OpenVocabularyTask(small_tiny(), [unit(3, 8), unit(5, 8)], unit(4, 8), unit(3, 2, 8), members)


def batch():
    image = torch.rand(2, 3, 64, 64) * 255
    truth = torch.randint(2, (2, 64, 64))
    return image, truth


def test_shares_of_a_patch_leave_the_unlabelled_out():
    truth = torch.full((1, 32, 48), 255)
    truth[0, :16, :16] = 1
    truth[0, :8, 16:32] = 0
    share = patch_shares(truth, 2, 16)
    assert share.shape == (1, 2, 3, 2)
    assert share[0, 0].tolist() == [[0, 1], [0.5, 0], [0, 0]]
    assert share[0, 1].abs().sum() == 0


def test_every_draw_is_a_vocabulary(task):
    columns = task._draw()
    assert columns.shape == (DRAWS, 2 + ABSENT)
    assert (columns[:, 0] < 3).all()
    assert ((columns[:, 1] >= 3) & (columns[:, 1] < 8)).all()
    assert (columns[:, 2:] >= 8).all()
    assert (columns[:, 2:] < 12).all()


def test_every_term_is_finite_and_trains_the_network(task):
    terms = task(*batch())
    assert set(terms) == {"region", "overlap", "centre", "crop", "caption"}
    sum(terms.values()).backward()
    silent = [name for name, p in task.network.named_parameters() if p.requires_grad and p.grad is None]
    assert not silent


def test_nothing_labelled_costs_nothing(task):
    image, truth = batch()
    terms = task(image, torch.full_like(truth, 255))
    assert all(term.item() == 0 for term in terms.values())


def test_what_an_unlabelled_patch_shows_does_not_count(task):
    image, truth = batch()
    truth[:, 32:] = 255
    torch.manual_seed(5)
    before = {name: term.item() for name, term in task(image, truth).items()}
    tokens, class_token = task.network.vit((image - task.mean) / task.std)
    tokens = tokens.clone()
    tokens[:, 2:] = -tokens[:, 2:]
    task.network.vit.forward = lambda image: (tokens, class_token)
    torch.manual_seed(5)
    assert {name: term.item() for name, term in task(image, truth).items()} == pytest.approx(before, rel=1e-5)


def test_a_few_steps_learn_one_batch(task):
    image, truth = batch()
    truth[:] = 0
    truth[:, :, 32:] = 1
    image = truth[:, None].expand(-1, 3, -1, -1) * 200.0
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], 3e-3)
    losses = []
    for step in range(25):
        torch.manual_seed(step)
        loss = sum(task(image, truth).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
