"""Write the vocabulary of cris-tiny: the words of our expressions, and the most frequent ones of a sentence encoder."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from rsseg_edge.datasets.referring.expression import spoken_words
from rsseg_edge.datasets.table import describe
from rsseg_edge.models.cris import config as cris
from rsseg_edge.models.cris.words import DATA, choose_words

NAME = "cris-tiny"


def main() -> None:
    text = cris.load_config(NAME).clip.text
    assert text.words is not None
    classes = [c for name in DATA for c in describe(name).class_table().names]
    package = Path(str(importlib.resources.files(text.words.encoder.replace("-", "_"))))
    common = (package / "model" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = choose_words(spoken_words(classes), common[1000:], text.vocab_size)  # BERT's begins with characters
    path = Path(cris.__file__).with_name(f"{NAME}.words.txt")
    path.write_text("\n".join(words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
