"""Training of `csm-tiny`: a small checkpoint of CSM's architecture, made from nothing but synthetic speech.

The stages, each resumable (`python -m csm_plugin.training <stage> --folder build/tiny --minutes N`):

    corpus   text on disk and templates -> flite -> shards of 24 kHz audio with phoneme and word times
    codec    shards -> a Mimi codec (8 codebooks of 512, 12.5 frames a second)
    gate     the codec judged: word error, pitch and voice of its reconstructions
    lm       shards + codec -> backbone and depth decoder
    export   codec + language model -> a Hugging Face CSM folder
    keep     the states of codec and language model, small enough for version control
    listen   that folder judged: word error, endings and voices of what it says

The same stages, given other shards, adapt the model to other voices.
"""
