"""When each word of an utterance is heard: from what the model looks at, or from how long words usually take."""
