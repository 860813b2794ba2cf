"""CLIP's tokenizer in a bundle gives open_clip's ids."""

# ruff: noqa: RUF001 - letters of many scripts are what is tested

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="export is the lab side: it needs torch")
open_clip = pytest.importorskip("open_clip")

from tokenizers import Tokenizer  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export.clip_tokenizer import clip_tokenizer  # noqa: E402
from rsseg_edge.prompts import tokenizer as runtime  # noqa: E402

TEXTS = [
    "building", "Building, ROOF", "  many   spaces\t\n tabs ", "line\r\nbreak", "tab\x0bvt\x0cff", "",
    "it's a dog's life; they're, we'll, I'd I'm you've don't", "'S 'T '''s don''t",
    "1234 roads 3.14 12th 2x4' 100% 10:30",
    "!!! ??? ... (a) [b] {c} #hash @at a/b\\c_d-e C++ & C# AT&T; x<y>z $€£¥ §¶• ™®©",
    "naïve café ÉCOLE Ångström", "e\u0301tude a\u0300\u0301b", "日本語 テスト", "한국어",
    "Привет МИР", "العربية", "हिन्दी",
    "ไทย", "ΣΑΣ ς ΑΣ. Σ", "İstanbul", "ẞtraße", "½ ² ③ Ⅷ", "K Ω µm", "emoji 😀🏠👨‍👩‍👧 😀's", "\u200bzero\u200bwidth",
    "non\u00a0break soft\u00adhyphen", "\u2028line", "…", "—dash– ‐hyphen", "“curly” ‘quotes’ it’s", "ﬁre ﬂow Ĳssel ŉ",
    "ｆｕｌｌ　ｗｉｄｔｈ", "&amp; &lt;b&gt; &quot;q&quot; a&b", "<start_of_text> x <end_of_text>", "<END_OF_TEXT>hi",
]  # fmt: skip


@pytest.fixture(scope="module")
def simple():
    return open_clip.SimpleTokenizer(context_length=77)


@pytest.fixture(scope="module")
def exported(simple):
    return clip_tokenizer(simple, 77)


@pytest.mark.parametrize("text", [*TEXTS, "a" * 300, "word " * 100], ids=lambda text: ascii(text)[:30])
def test_ids_are_open_clips_padded_and_cut(simple, exported, text):
    assert Tokenizer.from_str(exported.decode()).encode(text).ids == simple([text])[0].tolist()


def test_ids_of_random_text_are_open_clips(simple, exported):
    # none of those that wrongly decoded UTF-8 goes on with: ftfy repairs what they make
    letters = [*map(chr, range(32, 127)), *"äöüßéèñçøåÀÉÎÕÜабвгдежзАБВγδεΔΛ中文字日本한국0123456789"]
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(letters, rng.integers(1, 40))) for _ in range(500)]
    texts = [text for text in texts if "&" not in text]  # half an HTML entity is anybody's guess
    found = [row.ids for row in Tokenizer.from_str(exported.decode()).encode_batch(texts)]
    wrong = [text for text, ids, row in zip(texts, found, simple(texts).tolist(), strict=True) if ids != row]
    assert not wrong


def test_every_template_and_word_of_the_benchmarks(simple, exported):
    words = ["store tank", "ground track field", "soccer ball field", "impervious surface", "low vegetation"]
    prompts = [template(word) for template in open_clip.OPENAI_IMAGENET_TEMPLATES for word in words]
    found = runtime.Tokenizer(exported, 77).encode(prompts)
    assert np.array_equal(found, simple(prompts).numpy())


def test_the_runtime_refuses_what_open_clip_would_cut(exported):
    with pytest.raises(UsageError, match=r"'word word .* is too long: 102 tokens of at most 77"):
        runtime.Tokenizer(exported, 77).encode(["road", "word " * 100])
