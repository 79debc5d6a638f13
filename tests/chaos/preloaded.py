"""Everything a process of the pipeline imports, so that it is there before it is forked."""

import openai  # noqa: F401

import tests.chaos.sabotage  # noqa: F401
