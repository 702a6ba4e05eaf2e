"""The codec: codebooks, encoder, decoder, and the ear that judges them."""
