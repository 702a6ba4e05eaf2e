"""The export stage: codec and language model as a Hugging Face CSM folder, which transformers loads as it is."""

import json
import shutil
from pathlib import Path

import soundfile
import torch
from loguru import logger
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    CsmForConditionalGeneration,
    CsmProcessor,
    EncodecFeatureExtractor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from training import files
from training.bundle import card
from training.codec import codes, decoder, encoder
from training.codec.codebooks import load_coder
from training.codec.codec import load_codec
from training.corpus import corpus
from training.corpus.synthesis import SAMPLE_RATE, speak
from training.corpus.voices import VOICES
from training.errors import CorruptFile, MissingInput
from training.lm import language_model
from training.lm.guidance import GUIDED_LAYERS
from training.sizes import CODES, language_config
from training.tokens import AUDIO, AUDIO_EOS, BEGIN, CHARACTERS, END, NUMBER, PAD, REPLACED, SPECIAL

STAGE = "export"
FOLDER = "csm-tiny"
_AVERAGE = "average."
_TEMPERATURE = 0.2
_TOP_K = 10
_LONGEST_FRAMES = 250
PROMPTS = (  # of each voice one behind which it is read well: the worst one costs up to eight words in a hundred
    "I would like to try the blue one, if I may.",
    "Please leave the box by the front door.",
    "Good morning, this is the news of the day.",
    "The bridge is closed, so we take the other road.",
    "My sister and I are going to the market.",
    "Thank you for calling, I will be there soon.",
    "Do you remember the name of that hotel?",
    "It was a long way, but the weather was lovely.",
)
_CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- for content in message['content'] -%}"
    "{%- if content['type'] == 'text' -%}"
    "{{- '" + BEGIN + "[' + message['role'] + ']' + content['text'] + '" + END + "' -}}"
    "{%- elif content['type'] == 'audio' -%}"
    "{{- '" + AUDIO + AUDIO_EOS + "' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- endfor -%}"
)


def run(folder: Path) -> Path:
    """Write `csm-tiny` into the folder of the stages.

    Returns:
        The exported folder.

    Raises:
        MissingInput: the codec or the language model is not trained.
        TrainingError: they do not belong together, or the disk is full.
    """
    model = assembled(folder)
    place, beside = folder / FOLDER, folder / f"{FOLDER}.part"
    shutil.rmtree(beside, ignore_errors=True)
    save(model, beside)
    save_voices(beside / "voices")
    card.write(beside, sum(value.numel() for value in model.parameters()), _steps(folder), _hours(folder))
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    size = sum(path.stat().st_size for path in place.iterdir())
    logger.info("exported to {}: {:.1f} MB", place, size / 1e6)
    return place


def assembled(folder: Path) -> CsmForConditionalGeneration:
    """The codec and the averaged language model as one model, float32."""
    codec = load_codec(folder)
    state = folder / language_model.STATE
    tensors, about = files.load_tensors(state, language_model.STAGE)
    present = codes.fingerprint(load_coder(folder))
    if about["codebooks"] != present:
        raise codes.other_codebooks(state, about["codebooks"], present)
    model = CsmForConditionalGeneration(language_config())
    own = {
        name.removeprefix(_AVERAGE).replace("/", "."): value
        for name, value in tensors.items()
        if name.startswith(_AVERAGE) and name != f"{_AVERAGE}steps"
    }
    parameters = dict(model.named_parameters())
    try:
        with torch.no_grad():
            for name, value in own.items():
                parameters[name].copy_(value)
    except (KeyError, RuntimeError) as error:
        raise CorruptFile(f"{state} does not fit the model: it was made with other sizes ({error})") from error
    model.codec_model.load_state_dict(codec.state_dict())
    return model.eval()


def save(model: CsmForConditionalGeneration, place: Path) -> None:
    """Write a model with tokenizer, processor and generation config; weights in float16, loaded as float32."""
    sampling = {"do_sample": True, "temperature": _TEMPERATURE, "top_k": _TOP_K}
    invalid = list(range(CODES, model.config.vocab_size))  # ids that are no codes
    model.generation_config = GenerationConfig(
        **sampling,
        suppress_tokens=invalid,
        max_new_tokens=_LONGEST_FRAMES,
        pad_token_id=model.config.pad_token_id,
        bos_token_id=model.config.bos_token_id,
    )
    model.generation_config.alignment_heads = [[layer, 0] for layer in GUIDED_LAYERS]
    model.depth_decoder.generation_config = GenerationConfig(**sampling, suppress_tokens=invalid)
    model.half().save_pretrained(place)
    for path in place.iterdir():
        path.chmod(0o644)
    config_path = place / "config.json"
    config = json.loads(config_path.read_text())
    config["dtype"] = "float32"
    files.write_bytes(config_path, json.dumps(config, indent=2).encode())
    features = EncodecFeatureExtractor(feature_size=1, sampling_rate=SAMPLE_RATE)
    CsmProcessor(features, tokenizer(), chat_template=_CHAT_TEMPLATE).save_pretrained(place)


def save_voices(place: Path) -> None:
    """Write a prompt for each voice: its recording as 16-bit FLAC and its text."""
    place.mkdir()
    for voice, text in zip(VOICES, PROMPTS, strict=True):
        recording = speak(text, voice).samples
        soundfile.write(place / f"{voice.name}.flac", recording, SAMPLE_RATE, subtype="PCM_16", compression_level=1.0)
        files.write_bytes(place / f"{voice.name}.txt", text.encode())


def _steps(folder: Path) -> dict[str, int]:
    stages = (decoder, encoder, language_model)
    return {
        stage.STAGE: files.load_tensors(folder / stage.STATE, stage.STAGE)[1]["step"]
        for stage in stages
        if (folder / stage.STATE).exists()
    }


def _hours(folder: Path) -> float:
    try:
        return len(corpus.shard_numbers(folder)) * corpus.SHARD_SECONDS / 3600
    except MissingInput:  # training goes on from kept states without it
        return 0.0


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of characters that takes any text: lower-cased, unknown characters replaced or dropped."""
    backend = Tokenizer(models.WordLevel({token: NUMBER[token] for token in (*SPECIAL, *CHARACTERS)}, unk_token=PAD))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.Lowercase()]
        + [normalizers.Replace(Regex(pattern), replacement) for pattern, replacement in REPLACED]
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[AUDIO, AUDIO_EOS],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
