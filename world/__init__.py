"""The picture world: pictures whose every factor is known."""
