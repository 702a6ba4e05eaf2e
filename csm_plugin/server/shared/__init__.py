"""What all doors of the server share: settings, errors, the engine and its supervisor, voices, metrics, connections."""
