"""Training of `csm-tiny`: a small checkpoint of CSM's architecture, made from nothing but synthetic speech.

The stages, each resumable (`python -m training <stage> --folder build/tiny --minutes N`):

    corpus     text on disk and templates -> flite -> shards of 24 kHz audio with phoneme and word times
    codebooks  shards -> what a frame is in numbers, and 10 codebooks of 512 for it
    ear        shards -> a small network that hears phonemes
    decoder    codes -> speech, 12.5 frames a second, judged by spectra and by that ear
    encoder    speech -> codes
    gate       the codec judged: word error, pitch and voice of its reconstructions
    lm         text and codes -> backbone and depth decoder
    export     all of it -> a Hugging Face CSM folder
    listen     that folder judged, as `csm eval` does
    keep       the states of the stages, small enough for version control

Encoder and language model need the codebooks only, the decoder the ear too; all can be trained side by side. The same
stages, given other shards, adapt the model to other voices.
"""
