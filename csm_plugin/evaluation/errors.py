"""What can go wrong while a checkpoint is judged."""

from csm_plugin.errors import CSMError


class EvaluationError(CSMError):
    """Speech cannot be judged, or the result not be written; the message says why and what to do."""
