"""Sends spans to an OpenTelemetry collector; imported only where the setting names one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.errors import ConfigurationError
from shared.tracing import spans

_PATH = "/v1/traces"


@contextmanager
def sent(endpoint: str | None, process: str, version: str) -> Iterator[None]:
    """Make spans while the block runs and send them behind its back; nothing without an endpoint.

    What is left is sent at the end, within some seconds. A collector that is away costs spans.
    """
    if endpoint is None:
        yield
        return
    provider = _provider(endpoint, process, version)
    spans.turn_on(provider.get_tracer("memoire", version))
    try:
        yield
    finally:
        spans.turn_off()
        provider.shutdown()


def _provider(endpoint: str, process: str, version: str) -> Any:
    """A provider of our own, never the global one: libraries that look for that make no spans."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "MEMOIRE_OTLP_ENDPOINT is set, but what sends traces is not installed: "
            "pip install 'memoire-streams[otlp]'"
        ) from error
    resource = Resource.create(
        {
            "service.namespace": "memoire",
            "service.name": f"memoire-{process}",
            "service.version": version,
        }
    )
    url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5)))
    return provider
