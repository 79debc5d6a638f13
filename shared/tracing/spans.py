"""Spans, where traces are on; where they are off, nothing is imported and nothing is asked.

Work on many rows at once has a span for every trace that one of them came with, all over the same
time: so each trace is whole by itself. The first is the current one, under which calls of models
stand; the others link to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from structlog.contextvars import bound_contextvars

from shared.tracing.context import is_sampled, span_of, trace_of

Attributes = Mapping[str, str | int | float]

_MOST_SPANS = 100
"""Of one batch; the rest of its traces have links from the first span."""


@dataclass(slots=True)
class _Switch:
    """This process' tracer; None: off."""

    tracer: Any = None


_switch = _Switch()


def turn_on(tracer: Any) -> None:
    """Make spans from now on, with an OpenTelemetry tracer."""
    _switch.tracer = tracer


def turn_off() -> None:
    _switch.tracer = None


def is_on() -> bool:
    return _switch.tracer is not None


@contextmanager
def span(
    name: str,
    *,
    kind: str = "internal",
    parent: str | None = None,
    links: Collection[str] = (),
    attributes: Attributes | None = None,
) -> Iterator[Any]:
    """A span over a block, current in it; below `parent`, else below what is current. None if off.

    Of an error it keeps the kind and never the text, which may quote what a user said.
    """
    if _switch.tracer is None:
        yield None
        return
    from opentelemetry import trace  # noqa: PLC0415  paid where traces are on

    with _switch.tracer.start_as_current_span(
        name,
        context=None if parent is None else trace.set_span_in_context(_remote(parent)),
        kind=trace.SpanKind[kind.upper()],
        links=[trace.Link(_remote(link).get_span_context()) for link in links],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            made.set_status(trace.StatusCode.ERROR)
            raise


@contextmanager
def spans(
    name: str, parents: Sequence[str], attributes: Attributes | None = None
) -> Iterator[None]:
    """A span in each of these traces, and logs that name the first; none where there are none."""
    if _switch.tracer is None or not parents:
        yield
        return
    first, *others = parents
    with ExitStack() as stack:
        stack.enter_context(span(name, parent=first, links=others, attributes=attributes))
        stack.enter_context(bound_contextvars(otel_trace=trace_of(first)))
        beside = [
            _begun(name, parent, current_traceparent(), attributes)
            for parent in others[: _MOST_SPANS - 1]
        ]
        for each in beside:
            stack.callback(each.end)
        yield


def current_traceparent() -> str | None:
    """The current span as others may continue it; None where there is none."""
    if _switch.tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _begun(name: str, parent: str, link: str | None, attributes: Attributes | None) -> Any:
    """A span that is not current."""
    from opentelemetry import trace  # noqa: PLC0415

    return _switch.tracer.start_span(
        name,
        context=trace.set_span_in_context(_remote(parent)),
        links=[trace.Link(_remote(link).get_span_context())] if link else (),
        attributes=attributes,
    )


def _remote(traceparent: str) -> Any:
    """The span that a `traceparent` was sent from."""
    from opentelemetry import trace  # noqa: PLC0415

    flags = trace.TraceFlags.SAMPLED if is_sampled(traceparent) else trace.TraceFlags.DEFAULT
    return trace.NonRecordingSpan(
        trace.SpanContext(
            trace_id=int(trace_of(traceparent), 16),
            span_id=int(span_of(traceparent), 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(flags),
        )
    )
