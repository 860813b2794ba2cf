"""CLIP's tokenizer, open_clip's ``SimpleTokenizer``, as a ``tokenizer.json`` of the tokenizers package."""

from __future__ import annotations

from typing import Any

BEGIN, END = "<start_of_text>", "<end_of_text>"

# Words of letters, single digits, runs of anything else; English endings apart. As in open_clip's ``pat``.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"

# open_clip cleans with ftfy and HTML's entities, which guess; what people type and paste is kept of that.
REPLACED = (
    (r"&quot;", '"'), (r"&(apos|#39|#x27);", "'"), (r"&lt;", "<"), (r"&gt;", ">"), (r"&nbsp;", " "), (r"&amp;", "&"),
    ("[\u02bc\u2018-\u201b]", "'"), ("[\u201c-\u201f]", '"'),
    ("[\u0000-\u0008\u000b\u000e-\u001b\u007f\ufeff]", ""),
)  # fmt: skip
# Python lower-cases a sigma by its place in the word, the tokenizers package does not.
FINAL_SIGMA = (r"(?<=\p{L})\u03a3(?!\p{L})", "\u03c2")


def clip_tokenizer(simple: Any, length: int) -> bytes:
    """The tokenizer as JSON, with CLIP's padding by zeros and cut to the context length.

    Ids are those of ``simple`` for any text but wrongly decoded one, which ftfy would repair, and HTML's entities other
    than those in ``REPLACED``.

    Args:
        simple: open_clip's ``SimpleTokenizer``; cleaning and lower-casing are its default.
        length: tokens of a sentence, the context length of the text tower.
    """
    from ftfy.chardata import LIGATURES, WIDTH_MAP
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    merges = sorted(simple.bpe_ranks, key=simple.bpe_ranks.get)
    bpe = models.BPE(vocab=dict(simple.encoder), merges=merges, end_of_word_suffix="</w>")
    native = Tokenizer(bpe)
    native.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(chr(code), to) for code, to in {**LIGATURES, **WIDTH_MAP}.items()),
            *(normalizers.Replace(Regex(pattern), to) for pattern, to in (*REPLACED, FINAL_SIGMA)),
            normalizers.NFC(),
            normalizers.Lowercase(),
        ]
    )
    native.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    native.add_special_tokens([AddedToken(BEGIN, normalized=True), AddedToken(END, normalized=True)])
    ids = [(token, simple.encoder[token]) for token in (BEGIN, END)]
    native.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A {END}", special_tokens=ids)
    native.enable_truncation(length)
    native.enable_padding(length=length, pad_id=0, pad_token=simple.decoder[0])
    serialised: str = native.to_str()
    return serialised.encode()
