"""A model as judge of the pairs that guards leave doubtful: asked once, never waited for long."""
