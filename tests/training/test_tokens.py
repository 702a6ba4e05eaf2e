"""Text tokens: the trainer's and the exported tokenizer's are the same."""

import pytest

from training import tokens
from training.bundle.export import tokenizer


@pytest.mark.parametrize(
    "text",
    [
        "Hello there.",
        "Caf\u00e9 \u2014 \u201cd\u00e9j\u00e0 vu\u201d\u2026",
        "a  b\tc\nd",
        "50% & more @ home",
        "\u4f60\u597d \U0001f600 ok",
        "it\u2019s [laughs] 3:45",
    ],
)
def test_the_exported_tokenizer_agrees_with_the_trainer_on_any_text(text):
    prompt = f"{tokens.BEGIN}[3]{text}{tokens.END}"

    assert tokenizer()(prompt, add_special_tokens=False)["input_ids"] == tokens.encode(text, 3)


def test_special_tokens_are_single_numbers():
    found = tokenizer()(f"{tokens.BEGIN}{tokens.AUDIO}{tokens.AUDIO_EOS}{tokens.END}", add_special_tokens=False)

    assert found["input_ids"] == [
        tokens.NUMBER[name] for name in (tokens.BEGIN, tokens.AUDIO, tokens.AUDIO_EOS, tokens.END)
    ]
