"""Where the speaker heads start: at frames with the same speaker id."""

import pytest
import torch
from torch import Tensor
from transformers import CsmBackboneModel

from tests.training.sizes import small_language
from tests.training.test_language_model import made_up
from training.lm import speaker_heads
from training.lm.batches import IGNORED, SPEAKERS, BatchSampler
from training.lm.guidance import NAMED_LAYER, SPEAKER_HEAD, SPEAKER_LAYERS
from training.lm.speaker_heads import Lesson


@pytest.fixture
def backbone() -> CsmBackboneModel:
    """With random weights, but its named head looks where the speaker is the same."""
    torch.manual_seed(0)
    config = small_language()
    config._attn_implementation = "eager"
    model = CsmBackboneModel(config).eval()
    attention = model.layers[NAMED_LAYER].self_attn
    head = slice(SPEAKER_HEAD * attention.head_dim, (SPEAKER_HEAD + 1) * attention.head_dim)
    alike = torch.eye(attention.head_dim, config.hidden_size)
    with torch.no_grad():
        attention.q_proj.weight[head] = attention.k_proj.weight[head] = 2.0 * alike
    return model


@pytest.fixture
def lessons() -> list[Lesson]:
    """Real examples; what is embedded is noise, and a little that tells the speaker, and frames from text."""
    torch.manual_seed(1)
    sampler = BatchSampler([made_up(voice) for voice in range(8) for _ in range(3)], 8)
    told = 0.7 * torch.randn(SPEAKERS + 1, 64)  # the last is that of padding
    framed = torch.randn(2, 64)
    found = []
    for step in range(12):
        batch = sampler.batch(step, 0)
        name, speaker, is_frame, voice = (
            torch.from_numpy(array) for array in (batch.name, batch.speaker, batch.is_frame, batch.voice)
        )
        embedded = torch.randn(*name.shape, 64) + told[speaker] + framed[is_frame.long()]
        found.append(Lesson(embedded, name, speaker, is_frame, voice))
    return found


def looked_at(backbone: CsmBackboneModel, lesson: Lesson) -> Tensor:
    """Of each layer that compares: the mean weight of the frames that count, where the voice is asked for."""
    with torch.no_grad():
        weights = backbone(inputs_embeds=lesson.embedded, use_cache=False, output_attentions=True).attentions
    row, position = ((lesson.voice != IGNORED) & (lesson.name >= 0)).nonzero(as_tuple=True)
    places = torch.arange(lesson.speaker.shape[1])
    same = lesson.speaker[row] == lesson.speaker[row, position, None]
    own = same & lesson.is_frame[row] & (places < lesson.name[row, position, None])
    heard = own.any(dim=1)
    shares = [(weights[layer][row, SPEAKER_HEAD, position] * own).sum(dim=1) for layer in SPEAKER_LAYERS]
    return torch.stack([share[heard].mean() for share in shares])


def test_they_look_at_what_the_speaker_said_before(backbone: CsmBackboneModel, lessons: list[Lesson]) -> None:
    *taught, other = lessons
    before = looked_at(backbone, other)

    speaker_heads.start(backbone, taught)

    assert (before < 0.4).all()
    assert (looked_at(backbone, other) > 0.8).all()


def test_other_heads_stay_as_they_were(backbone: CsmBackboneModel, lessons: list[Lesson]) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    size = backbone.layers[0].self_attn.head_dim
    head = slice(SPEAKER_HEAD * size, (SPEAKER_HEAD + 1) * size)

    speaker_heads.start(backbone, lessons)

    changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"layers.{NAMED_LAYER}.self_attn.{part}_proj.weight" for part in "vo"} | {
        f"layers.{layer}.self_attn.{part}_proj.weight" for layer in SPEAKER_LAYERS for part in "qk"
    }
    for name in changed:
        was, now = before[name].clone(), backbone.state_dict()[name].clone()
        for value in (was, now):
            (value.T if "o_proj" in name else value)[head] = 0.0
        assert torch.equal(was, now)
