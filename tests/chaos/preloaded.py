"""Everything a process of the pipeline imports, so that it is there before it is forked."""

import openai  # noqa: F401

import services.composition
import services.deduper.consumer
import services.embedder.consumer
import services.extractor.consumer
import services.extractor.extractors
import services.extractor.intake
import services.extractor.session
import services.gateway.app
import services.maintenance.consumer
import services.maintenance.sweeper
import services.superseder.consumer
import shared.embeddings
import shared.llm
import tests.chaos.sabotage  # noqa: F401
