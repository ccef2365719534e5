"""The recorder's own error, in a file without imports so that every other one can raise it."""


class RecorderError(ValueError):
    """A model that cannot be recorded, or a recorder used out of turn.

    The message names the module or the step that is missing and what to do next.
    """
