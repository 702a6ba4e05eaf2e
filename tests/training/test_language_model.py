"""Training of the language model: examples as CSM is used, learning, going on, and the export."""

import numpy as np
import pytest
import torch
from transformers import CsmForConditionalGeneration

from csm_plugin.evaluation.reference import Reference
from tests.training.sizes import use_small_sizes
from training import sizes, tokens
from training.bundle import export
from training.codec import codes, decoder, encoder
from training.codec.codes import NOWHERE, Segment
from training.codec.ear import Ear
from training.corpus import corpus
from training.errors import MissingInput, TrainingError
from training.lm import language_model as stage
from training.lm.batches import IGNORED, BatchSampler, collate
from training.lm.guidance import speaker_loss
from training.lm.language_model import LanguageTrainer, Plan
from training.steps import checkpoint

PLAN = Plan(steps=50, batch=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        use_small_sizes(patch)
        yield


def made_up(voice: int, frames: int = 20) -> Segment:
    rng = np.random.default_rng(voice)
    text = "good morning to you."
    return Segment(
        text=text,
        voice=voice,
        codes=rng.integers(1, sizes.CODES, (frames, sizes.CODEBOOKS)).astype(np.int16),
        phonemes=rng.integers(0, 40, (frames, 2)),
        character=np.minimum(np.arange(frames), len(text) - 1),
    )


def segments() -> BatchSampler:
    return BatchSampler([made_up(voice) for voice in range(8) for _ in range(3)], PLAN.batch)


@pytest.fixture
def sampler():
    return segments()


def test_an_example_is_text_then_frames_then_a_frame_of_zeros(sampler):
    rng = np.random.default_rng(0)
    examples = [sampler.example(rng) for _ in range(50)]
    example = min(examples, key=lambda item: item.length())  # one without context
    batch = collate([example])
    characters = int((~batch.is_frame[0]).sum())
    voice = int(batch.voice[0][2])

    assert batch.text[0, :characters].tolist() == tokens.encode("good morning to you.", voice)
    assert (batch.codes[0, -1] == 0).all() and (batch.target[0, -1] == IGNORED).all()
    assert np.array_equal(batch.target[0, characters - 1 : -1], batch.codes[0, characters:])


def test_guided_positions_hold_the_character_that_is_spoken(sampler):
    batch = collate([sampler.example(np.random.default_rng(seed)) for seed in range(20)])
    row, position = (batch.attend != NOWHERE).nonzero()
    spoken = {tokens.VOCABULARY[token] for token in batch.text[row, batch.attend[row, position]]}

    assert spoken <= set("good morning to you.")


def test_the_first_frames_of_a_voice_that_nothing_tells_are_not_learnt(sampler):
    examples = [collate([sampler.example(np.random.default_rng(seed))]) for seed in range(60)]
    with_context = [batch for batch in examples if (batch.text[0] == tokens.NUMBER[tokens.BEGIN]).sum() > 1]

    for batch in with_context:
        first_frame = int(batch.is_frame[0].argmax())
        assert (batch.target[0, first_frame - 1 : first_frame + 11] == IGNORED).all()
        assert batch.voice[0, 2] == IGNORED


def test_every_position_knows_its_speaker(sampler):
    batch = collate([sampler.conversation(np.random.default_rng(seed)) for seed in range(3)])
    row, position = (batch.name != NOWHERE).nonzero()
    spelled = batch.text[row, batch.name[row, position]]

    assert np.array_equal(spelled, tokens.NUMBER["0"] + batch.speaker[row, position])
    assert (batch.name[row, position] <= position).all()
    begins = (batch.text == tokens.NUMBER[tokens.BEGIN]).sum()
    assert (batch.name == NOWHERE).sum() == 2 * begins + (batch.speaker == NOWHERE).sum()


def test_looking_at_ones_own_earlier_frames_costs_nothing():
    # two segments of speaker 4 around one of speaker 7: `begin [ id`, a frame
    name = torch.tensor([[-1, -1, 2, 2, -1, -1, 6, 6, -1, -1, 10, 10]])
    speaker = torch.tensor([[4] * 4 + [7] * 4 + [4] * 4])
    is_frame = torch.tensor([[False, False, False, True] * 3])
    asked = torch.zeros(1, 12, dtype=torch.bool)
    asked[0, 10:] = True
    right = torch.zeros(1, 2, 12, 12)
    right[0, :, range(12), name[0].clamp(min=0)] = 1.0
    own, other = right.clone(), right.clone()
    own[0, 1, 10:], other[0, 1, 10:] = torch.eye(12)[3], torch.eye(12)[7]

    def loss(third: torch.Tensor) -> float:
        return float(speaker_loss([right, right, third, third], name, speaker, is_frame, asked))

    assert loss(own) == pytest.approx(0.0, abs=1e-3)
    assert loss(other) > 5.0


def test_training_brings_the_loss_down_on_a_toy_batch(sampler):
    trainer = LanguageTrainer(PLAN, CPU, sampler, "codebooks")
    batch = sampler.batch(0, 0)

    losses = [trainer.train_step(batch)["loss"] for _ in range(8)]

    assert losses[-1] < losses[0] - 0.1


def test_an_interrupted_run_goes_on_bit_for_bit(sampler, tmp_path):
    first = LanguageTrainer(PLAN, CPU, sampler, "codebooks")
    first.train_step(sampler.batch(0, 0))
    first.save(tmp_path / "lm.safetensors")
    second = LanguageTrainer(PLAN, CPU, sampler, "codebooks")

    second.load(tmp_path / "lm.safetensors")

    assert first.train_step(sampler.batch(1, 0)) == second.train_step(sampler.batch(1, 0))


def test_a_run_goes_on_from_a_kept_state(sampler, tmp_path):
    first = LanguageTrainer(PLAN, CPU, sampler, "codebooks")
    first.train_step(sampler.batch(0, 0))
    first.save(tmp_path / "lm.safetensors")
    checkpoint.shrink(tmp_path / "lm.safetensors", tmp_path / "small.safetensors", "lm", ("model",))
    second = LanguageTrainer(PLAN, CPU, sampler, "codebooks")
    second.load(tmp_path / "small.safetensors")

    assert (tmp_path / "small.safetensors").stat().st_size < 0.2 * (tmp_path / "lm.safetensors").stat().st_size
    assert second.step == 1
    assert torch.allclose(second.model.lm_head.weight, first.average.get_buffer("lm_head/weight"), atol=1e-3)
    assert second.train_step(sampler.batch(1, 0))["loss"] > 0


@pytest.fixture(scope="module")
def stages(corpus_folder, coder, crops):
    """A folder with a codec and a language model that have hardly been trained."""
    decoder.DecoderTrainer(decoder.Plan(), CPU, crops, coder, Ear()).save(corpus_folder / decoder.STATE)
    encoder.EncoderTrainer(encoder.Plan(), CPU, crops, coder).save(corpus_folder / encoder.STATE)
    LanguageTrainer(PLAN, CPU, segments(), codes.fingerprint(coder)).save(corpus_folder / stage.STATE)
    yield corpus_folder
    for state in (decoder.STATE, encoder.STATE, stage.STATE):
        (corpus_folder / state).unlink()


def test_the_corpus_is_coded_sentence_by_sentence(corpus_folder, coder):
    place = codes.prepare(corpus_folder, coder, shards=1)
    (shard,) = corpus.shards(corpus_folder)
    found = list(codes.segments(corpus_folder, place))

    said = shard.sentences[-1]
    alone = coder.codes(*coder.vectors(shard.audio(said), said.voice)).numpy()
    assert len(found) == len(shard.sentences)
    assert np.array_equal(found[-1].codes, alone)
    assert len(found[0].character) == len(found[0].phonemes) == len(found[0].codes)


def test_the_export_loads_in_transformers_and_speaks(stages):
    place = export.run(stages)
    reference = Reference(place)
    context = [(0, "hello there.", np.zeros(24_000, np.float32))]

    alone, answered = reference.codes(["hello.", "and you?"], [0, 0], [[], context], max_frames=6)

    assert len(alone) <= 6 and len(answered) <= 6
    assert np.isfinite(reference.decode(alone)).all()
    loaded = CsmForConditionalGeneration.from_pretrained(place)
    assert loaded.dtype == torch.float32 and loaded.config.num_codebooks == sizes.CODEBOOKS


def test_csm_tiny_is_small_enough_to_be_bundled():
    model = CsmForConditionalGeneration(sizes.language_config())

    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 23e6


def test_a_model_of_other_codes_is_not_exported(stages, sampler):
    LanguageTrainer(PLAN, CPU, sampler, "another").save(stages / stage.STATE)

    with pytest.raises(TrainingError, match="trained with other codebooks"):
        export.assembled(stages)


def test_without_codebooks_the_language_model_stage_says_what_to_run(tmp_path):
    with pytest.raises(MissingInput, match=r"training codebooks"):
        stage.run(tmp_path, minutes=0.01)
