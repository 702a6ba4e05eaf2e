"""What can go wrong while training.

CSMError
└── TrainingError          a stage cannot go on
    ├── SynthesisError     the synthesiser is missing or refuses
    ├── MissingInput       an earlier stage has not been run
    └── CorruptFile        a file of a stage is damaged or from other settings
"""

from csm_plugin.errors import CSMError


class TrainingError(CSMError):
    """A stage cannot go on; the message says why and what to do."""


class SynthesisError(TrainingError):
    """The synthesiser is not installed, or could not speak."""


class MissingInput(TrainingError):
    """A stage was started before the one that makes its input."""


class CorruptFile(TrainingError):
    """A file of a stage is damaged, or was written with other settings."""
