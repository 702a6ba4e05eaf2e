"""What csm-tiny learns from: texts, phonemes, voices, and speech made of them."""
