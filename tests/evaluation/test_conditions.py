"""What is spoken for which part."""

from __future__ import annotations

from collections import Counter

import pytest

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation.conditions import NEEDS, TURNS, dialogues
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Recording
from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.settings import Sampling

ALL = tuple(NEEDS)


def asked(voices: list[VoicePrompt], condition: Condition) -> list[Dialogue]:
    found = dialogues(ALL, HELD_OUT, voices, Sampling())
    return [dialogue for dialogue in found if dialogue.condition is condition]


def test_there_are_a_hundred_different_held_out_sentences() -> None:
    assert len(set(HELD_OUT)) == 100


def test_a_part_speaks_what_it_needs_and_nothing_else(prompts: list[VoicePrompt]) -> None:
    for part, needed in NEEDS.items():
        assert {dialogue.condition for dialogue in dialogues([part], HELD_OUT, prompts, Sampling())} == needed


def test_every_dialogue_has_a_seed_of_its_own(prompts: list[VoicePrompt]) -> None:
    seeds = [dialogue.sampling.seed for dialogue in dialogues(ALL, HELD_OUT, prompts, Sampling(seed=7))]

    assert min(seeds) == 7 and len(set(seeds)) == len(seeds)


def test_the_default_voice_reads_everything_three_times_and_each_prompt_once(prompts: list[VoicePrompt]) -> None:
    default = asked(prompts, Condition.DEFAULT)
    prompted = Counter(dialogue.wanted for dialogue in asked(prompts, Condition.PROMPT))

    assert [dialogue.turns for dialogue in default] == [(text,) for text in HELD_OUT] * 3
    assert prompted == {prompt.name: 100 for prompt in prompts}
    assert not any(dialogue.sampling.trim_silence for dialogue in default)


def test_an_earlier_speaker_goes_on_after_another_under_an_id_that_names_another_voice(
    prompts: list[VoicePrompt],
) -> None:
    for dialogue in asked(prompts, Condition.EARLIER):
        first, second, text = dialogue.turns
        assert isinstance(first, Recording) and isinstance(second, Recording) and isinstance(text, str)
        spoken = {item.speaker: item.prompt.name for item in (first, second)}
        assert len(spoken) == 2 and spoken[dialogue.speaker] == dialogue.wanted
        assert prompts[dialogue.speaker].name != dialogue.wanted


@pytest.mark.parametrize("condition", [Condition.ALONE, Condition.ANSWERED])
def test_first_and_last_turns_hold_the_same_sentences(condition: Condition, prompts: list[VoicePrompt]) -> None:
    spoken = [[turn for turn in dialogue.turns if isinstance(turn, str)] for dialogue in asked(prompts, condition)]

    assert [len(texts) for texts in spoken] == [TURNS] * len(prompts)
    assert Counter(text for texts in spoken for text in texts[:5]) == Counter(
        text for texts in spoken for text in texts[-5:]
    )


def test_without_voice_prompts_the_rest_is_still_spoken() -> None:
    found = {dialogue.condition for dialogue in dialogues(ALL, HELD_OUT, [], Sampling())}

    assert found == {Condition.DEFAULT, Condition.ALONE}


def test_one_sentence_and_one_voice_are_enough(prompts: list[VoicePrompt]) -> None:
    found = dialogues(ALL, HELD_OUT[:1], prompts[:1], Sampling())

    assert {dialogue.condition for dialogue in found} == {Condition.DEFAULT, Condition.PROMPT, Condition.ALONE}
    assert all(isinstance(dialogue.turns[0], str) for dialogue in found)
