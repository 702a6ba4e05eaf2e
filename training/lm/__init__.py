"""The language model: examples as tokens, guided heads, training."""
