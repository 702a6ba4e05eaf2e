"""From trained parts to the checkpoint that ships: export, card, bundle."""
