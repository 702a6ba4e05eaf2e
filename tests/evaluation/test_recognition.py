"""What the recogniser hears, and how words are counted."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from csm_plugin.errors import CSMError
from csm_plugin.evaluation import recognition
from csm_plugin.evaluation.recognition import errors, hear, plain, word_error
from csm_plugin.extras import install_command
from tests.evaluation.conftest import Say

NOISE = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)


def test_numbers_are_compared_as_words() -> None:
    assert (
        plain("It's 7:30, and 1,250 people came.") == "it's seven thirty and one thousand two hundred fifty people came"
    )


def test_substituted_missing_and_added_words_are_errors() -> None:
    assert errors("a b c d", "a x c") == (2, 4)
    assert errors("a b", "a b c") == (1, 2)
    assert errors("", "a") == (1, 0)


@pytest.mark.parametrize("pair", [("a good bye", "a goodbye"), ("someone came", "some one came"), ("to day", "today")])
def test_a_word_may_be_written_as_two(pair: tuple[str, str]) -> None:
    assert errors(*pair)[0] == errors(*pair[::-1])[0] == 0


def test_a_half_of_a_word_is_not_the_word() -> None:
    assert errors("goodbye", "good") == errors("goodbye", "bye") == (1, 1)
    assert errors("good", "goodbye") == (1, 1)


def test_the_recogniser_understands_the_source(say: Say) -> None:
    texts = ["We had soup and bread for lunch today.", "What time does the library close on Saturday?"]

    assert word_error(texts, [say(text, "leo") for text in texts]) < 0.2


def test_nothing_is_heard_in_silence_or_in_no_sound_at_all() -> None:
    assert hear(np.zeros(24_000, np.float32)) == hear(np.zeros(0, np.float32)) == ""


def test_what_is_heard_does_not_depend_on_what_was_heard_before(say: Say) -> None:
    spoken = [say("Again.", "robert"), say("We had soup and bread for lunch today.", "leo"), say("Again.", "mia")]
    sounds = [*spoken, NOISE]
    first = [hear(sound) for sound in sounds]

    for order in ([3, 1, 0, 2], [0, 2, 1, 3], [1, 1, 3, 0]):
        assert [hear(sounds[index]) for index in order] == [first[index] for index in order]


def test_a_process_that_has_used_the_recogniser_ends_in_order() -> None:
    program = "import numpy; from csm_plugin.evaluation.recognition import hear; hear(numpy.ones(24_000))"

    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


def test_without_the_recogniser_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    monkeypatch.setattr(recognition, "_recogniser", recognition._recogniser.__wrapped__)

    with pytest.raises(CSMError, match=re.escape(install_command("eval"))):
        hear(NOISE)
