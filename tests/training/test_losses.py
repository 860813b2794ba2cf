"""Matcher and losses against transformers' Mask2Former at the same points, and unlabelled pixels."""

import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.models.segclip.config import LossConfig  # noqa: E402
from rsseg_edge.models.segclip.decoder import Prediction  # noqa: E402
from rsseg_edge.models.segclip.network import SegCLIPOutput  # noqa: E402
from rsseg_edge.training.losses import IGNORE, segclip_loss, semantic_loss, soft_jaccard, uncertain_points  # noqa: E402
from rsseg_edge.training.matcher import match  # noqa: E402

BATCH, QUERIES, CLASSES, HEIGHT, WIDTH = 3, 9, 5, 60, 44
CONFIG = LossConfig(points=400)


@pytest.fixture
def same_points(monkeypatch):
    """Random points depend on their number alone, so that every implementation draws the same."""

    def rand(*shape, device=None):
        generator = torch.Generator().manual_seed(shape[-2])
        return torch.empty(shape[-2:]).uniform_(generator=generator).expand(*shape).clone()

    monkeypatch.setattr(torch, "rand", rand)


def truth_of(kind="mixed"):
    """Rectangles of the classes; image b of the mixed batch lacks class b."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.zeros(BATCH, HEIGHT, WIDTH, dtype=torch.int64)
    for b in range(BATCH):
        for k in range(CLASSES):
            y, x = torch.randint(0, HEIGHT // 2, (2,), generator=generator).clamp(max=WIDTH - 20).tolist()
            if kind == "all" or k != b:
                truth[b, y : y + 24, x : x + 17] = k
                truth[b, 3 * k : 3 * k + 3, -4:] = k
        if b == 0 and kind == "mixed":
            truth[b][truth[b] == 0] = 1
    if kind == "single":
        truth[:] = 3
    if kind == "ignored":
        truth[:] = IGNORE
    return truth


def predictions(seed=0, count=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        Prediction(
            torch.randn(BATCH, QUERIES, CLASSES + 1, generator=generator).requires_grad_(),
            (3 * torch.randn(BATCH, QUERIES, HEIGHT // 4, WIDTH // 4, generator=generator)).requires_grad_(),
        )
        for _ in range(count)
    ]


def oracle_inputs(truth):
    classes = [image.unique() for image in truth]
    return [(image == c[:, None, None]).float() for image, c in zip(truth, classes, strict=True)], classes


@pytest.fixture(scope="module")
def oracle():
    pytest.importorskip("transformers")
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    config = Mask2FormerConfig(
        num_labels=CLASSES, no_object_weight=CONFIG.no_object, class_weight=CONFIG.classification,
        mask_weight=CONFIG.mask, dice_weight=CONFIG.dice, train_num_points=CONFIG.points,
        oversample_ratio=3.0, importance_sample_ratio=0.75,
    )  # fmt: skip
    return Mask2FormerLoss(config, {})


@pytest.mark.parametrize("kind", ["mixed", "all", "single"])
def test_costs_and_assignments_equal_mask2formers(oracle, same_points, monkeypatch, kind):
    import scipy.optimize
    from transformers.models.mask2former import modeling_mask2former

    costs, solve = [], scipy.optimize.linear_sum_assignment

    def record(cost):
        costs.append(torch.as_tensor(cost))
        return solve(cost)

    monkeypatch.setattr(scipy.optimize, "linear_sum_assignment", record)
    monkeypatch.setattr(modeling_mask2former, "linear_sum_assignment", record)
    truth = truth_of(kind)
    masks, classes = oracle_inputs(truth)
    points = torch.rand(1, CONFIG.points, 2)[0]
    for seed in range(4):
        prediction = predictions(seed)[0]
        expected = oracle.matcher(prediction.mask_logits, prediction.class_logits, masks, classes)
        their_costs, costs[:] = list(costs), []
        for b in range(BATCH):
            sampled = torch.nn.functional.grid_sample(
                prediction.mask_logits[b : b + 1], 2 * points[None, None] - 1, align_corners=False
            )
            true = torch.nn.functional.grid_sample(masks[b][None], 2 * points[None, None] - 1, align_corners=False)
            got = match(
                prediction.class_logits[b], sampled[0, :, 0], classes[b], true[0, :, 0], torch.ones(len(points)), CONFIG
            )
            torch.testing.assert_close(costs[b], their_costs[b], rtol=1e-5, atol=1e-5)
            assert [i.tolist() for i in got] == [i.tolist() for i in expected[b]]
        costs.clear()


@pytest.mark.parametrize("kind", ["mixed", "all", "single"])
def test_losses_and_gradients_equal_mask2formers(oracle, same_points, kind):
    truth = truth_of(kind)
    ours, theirs = predictions(7, count=3), predictions(7, count=3)
    terms = segclip_loss(SegCLIPOutput(ours), truth, CONFIG)
    masks, classes = oracle_inputs(truth)
    auxiliary = [{"masks_queries_logits": p.mask_logits, "class_queries_logits": p.class_logits} for p in theirs[:-1]]
    expected = oracle(theirs[-1].mask_logits, theirs[-1].class_logits, masks, classes, auxiliary)
    for term, name, weight in (
        ("classification", "loss_cross_entropy", CONFIG.classification),
        ("mask", "loss_mask", CONFIG.mask),
        ("dice", "loss_dice", CONFIG.dice),
    ):
        total = weight * sum(value for key, value in expected.items() if key.startswith(name))
        torch.testing.assert_close(terms[term], total, rtol=1e-5, atol=1e-6)
    sum(terms.values()).backward()
    weights = {"cross": CONFIG.classification, "mask": CONFIG.mask, "dice": CONFIG.dice}
    sum(weights[key.split("_")[1]] * value for key, value in expected.items()).backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.mask_logits.grad, other.mask_logits.grad, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(mine.class_logits.grad, other.class_logits.grad, rtol=1e-4, atol=1e-7)


def with_guidance(seed=0):
    guided = Prediction(torch.randn(BATCH, CLASSES, CLASSES + 1), torch.randn(BATCH, CLASSES, HEIGHT // 4, WIDTH // 4))
    return SegCLIPOutput(predictions(seed), [guided])


def shifted(prediction, where, by=7.0):
    """The prediction with other mask logits where ``where`` [B, H, W] is true of all the label pixels around."""
    inner = -torch.nn.functional.max_pool2d(-where.float()[:, None], 12, stride=4, padding=4) > 0
    moved = prediction.mask_logits.detach().clone()
    moved += by * torch.randn(moved.shape) * inner
    assert not torch.equal(moved, prediction.mask_logits)
    return Prediction(prediction.class_logits, moved)


def test_predictions_on_unlabelled_pixels_change_no_loss():
    torch.manual_seed(0)
    truth = truth_of()
    truth[:, 16:48] = IGNORE
    config = CONFIG.model_copy(update={"semantic": 5.0})
    output = with_guidance()
    moved = SegCLIPOutput(
        *([shifted(p, truth == IGNORE) for p in part] for part in (output.predictions, output.guided))
    )
    results = []
    for candidate in (output, moved):
        torch.manual_seed(1)
        results.append(segclip_loss(candidate, truth, config))
    assert set(results[0]) == {"classification", "mask", "dice", "guidance", "semantic"}
    for name, value in results[0].items():
        assert value > 0
        assert torch.equal(value, results[1][name]), name


def test_predictions_on_labelled_pixels_do_change_the_loss():
    """The test above could not fail if nothing changed the loss."""
    torch.manual_seed(0)
    truth = truth_of()
    truth[:, 16:48] = IGNORE
    output = with_guidance()
    moved = SegCLIPOutput([shifted(p, truth != IGNORE) for p in output.predictions])
    torch.manual_seed(1)
    before = segclip_loss(SegCLIPOutput(output.predictions), truth, CONFIG)
    torch.manual_seed(1)
    after = segclip_loss(moved, truth, CONFIG)
    assert before["mask"] != after["mask"]


def test_unlabelled_points_are_drawn_last():
    torch.manual_seed(0)
    labelled = torch.ones(1, HEIGHT, WIDTH)
    labelled[:, 20:] = 0
    logits = torch.randn(4, HEIGHT // 4, WIDTH // 4)
    points = uncertain_points(logits, labelled, 400)
    assert points.shape == (4, 400, 2)
    assert (points[:, :300, 1] < 20 / HEIGHT).all()  # a third of 1200 is labelled: enough
    assert (points[:, 300:, 1] > 20 / HEIGHT).any()  # the uniform quarter falls anywhere


@pytest.mark.parametrize("kind", ["ignored", "single", "all"])
def test_every_composition_of_an_image_gives_finite_losses_and_gradients(kind):
    torch.manual_seed(0)
    output = with_guidance()
    output.guided[0].class_logits.requires_grad_()
    output.guided[0].mask_logits.requires_grad_()
    terms = segclip_loss(output, truth_of(kind), CONFIG.model_copy(update={"semantic": 5.0}))
    sum(terms.values()).backward()
    for prediction in (*output.predictions, *output.guided):  # DDP needs a gradient everywhere, if only of zeros
        for tensor in (prediction.class_logits, prediction.mask_logits):
            assert tensor.grad is not None
            assert torch.isfinite(tensor.grad).all()
    if kind == "ignored":
        assert {name for name, value in terms.items() if value != 0} == {"classification"}
        assert not output.predictions[0].mask_logits.grad.any()


def test_an_unlabelled_image_leaves_the_losses_of_the_others():
    torch.manual_seed(0)
    truth = truth_of()
    truth[1] = IGNORE
    prediction = predictions()[0]
    semantic = semantic_loss(prediction, truth)
    kept = torch.tensor([0, 2])
    alone = semantic_loss(Prediction(prediction.class_logits[kept], prediction.mask_logits[kept]), truth[kept])
    torch.testing.assert_close(semantic, alone)


def test_absent_classes_get_no_guidance_loss():
    truth = truth_of("single")
    output = with_guidance()
    guided = output.guided[0]
    torch.manual_seed(2)
    before = segclip_loss(output, truth, CONFIG)["guidance"]
    absent = torch.arange(CLASSES) != 3
    guided.class_logits[:, absent] += 9
    guided.mask_logits[:, absent] -= 9
    torch.manual_seed(2)
    assert torch.equal(segclip_loss(output, truth, CONFIG)["guidance"], before)
    guided.mask_logits[:, ~absent] -= 9
    torch.manual_seed(2)
    assert segclip_loss(output, truth, CONFIG)["guidance"] > before


def test_guidance_loss_is_that_of_the_right_classes(same_points):
    """Guidance query k predicting class k and its mask perfectly costs next to nothing; another order costs much."""
    truth = truth_of("all")
    masks = (truth[:, None] == torch.arange(CLASSES)[:, None, None]).float()
    logits = 40 * (masks - 0.5)
    classes = 20 * torch.eye(CLASSES, CLASSES + 1).expand(BATCH, -1, -1)
    losses = [
        segclip_loss(SegCLIPOutput(predictions(), [Prediction(classes[:, order], logits[:, order])]), truth, CONFIG)
        for order in ([0, 1, 2, 3, 4], [1, 0, 2, 3, 4])
    ]
    assert losses[1]["guidance"] > 10 * losses[0]["guidance"]


def test_soft_jaccard_of_hard_masks_is_one_minus_their_mean_iou():
    torch.manual_seed(0)
    truth, found = torch.randint(0, 3, (2, 2, 9, 11))
    truth[0, :4] = IGNORE
    known = truth != IGNORE
    ious = [((truth == k) & (found == k)).sum() / (known & ((truth == k) | (found == k))).sum() for k in range(3)]
    shares = torch.nn.functional.one_hot(found, 5).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(soft_jaccard(shares, truth), 1 - torch.stack(ious).mean())


def test_soft_jaccard_of_nothing_labelled_is_zero():
    assert soft_jaccard(torch.rand(1, 3, 4, 4), torch.full((1, 4, 4), IGNORE)) == 0
