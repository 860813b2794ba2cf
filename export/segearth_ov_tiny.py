"""The small open-vocabulary model from its checkpoint: its words are a bank, its sentence encoder stays outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsseg_edge.errors import UsageError
from rsseg_edge.export.open_vocabulary import Floats, Identity, export_open_vocabulary
from rsseg_edge.export.request import Draft, Request, Say, training_of
from rsseg_edge.export.word_bank import bank_text_part
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.models.segearth_ov.tiny.sentence import WordEncoder
from rsseg_edge.prompts.bank import bank_phrases
from rsseg_edge.prompts.vocabulary import parse_classes
from rsseg_edge.training.open_vocabulary.predict import load_network

VIDEO_LONG_SIDE = 640
"""Six windows a frame, where the images' own scale takes thirty-five."""


def export_segearth_ov_tiny(request: Request, say: Say) -> Draft:
    """A bundle of a trained network, its upsampler and its word bank.

    Raises:
        UsageError: no checkpoint, or none of the upsampler; weights that do not fit each other.
        RssegError: the parity gate refuses, or a file cannot be read.
    """
    if request.checkpoint is None:
        raise UsageError(f"{request.model} needs --checkpoint FILE: the model.safetensors of rsseg-train")
    network, trained = load_network(Path(request.checkpoint), request.upsampler_weights)
    if not isinstance(network.upsampler, SimFeatUp):
        say(
            f"{request.checkpoint} has no upsampler: cosines are enlarged bilinearly; --upsampler-weights FILE takes "
            f"what 'rsseg-train simfeatup --clip {request.checkpoint}' wrote"
        )
    config, table = network.config, trained.table
    upsampler = config.upsampler if isinstance(network.upsampler, SimFeatUp) else "bilinear"
    classes = request.classes or table.names
    encoder = WordEncoder(config.text.name, config.templates)

    def encode(words: Sequence[str]) -> Floats:
        return encoder.words(words).numpy()

    say(f"encoding {len(bank_phrases())} words of the bank")
    words = parse_classes(classes).words
    text = bank_text_part(encode, bank_phrases(), words, encoder=config.text.name, templates=config.templates)
    identity = Identity(
        model=request.model,
        config=config.model_dump(mode="json") | {"upsampler": upsampler},
        long_side=config.long_side,
        classes=tuple(classes),
        colors=dict(zip(table.names, table.colors, strict=True)),
        training=training_of(trained.record),
        video_long_side=VIDEO_LONG_SIDE,
    )
    return export_open_vocabulary(network, text, identity, request, say)
