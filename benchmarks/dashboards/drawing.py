"""A dashboard as one SVG (pure): text, lines and areas, nothing that a reader must load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby

from benchmarks.dashboards.numbers import shown, ticks
from benchmarks.dashboards.panels import Dashboard, Panel

WIDTH = 1200
_COLUMN, _ROW, _GAP, _TOP = WIDTH / 24, 28, 4, 64
_LEGEND_LINES, _LEGEND_LINE, _CHARACTER = 4, 15, 5.6
_COLORS = (
    "#73BF69", "#F2CC0C", "#5794F2", "#FF9830", "#F2495C", "#1F60C4", "#B877D9", "#37872D",
    "#8AB8FF", "#C4162A", "#8F3BB8", "#96D98D", "#FADE2A", "#FF7383", "#CA95E5",
)  # fmt: skip
_THRESHOLDS = {"green": "#37872D", "orange": "#E0752D", "red": "#C4162A"}
_STYLE = (
    "text{font:11px Inter,'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#555}"
    ".t{font-size:13px;font-weight:600;fill:#222}.h{font-size:20px;font-weight:600;fill:#222}"
    ".v{font-size:40px;font-weight:600;text-anchor:middle}.n{font-size:13px;text-anchor:middle}"
    ".r{text-anchor:end}.m{text-anchor:middle}.g{stroke:#e6e6e6;stroke-width:1}"
)


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name in the legend, and values by Unix time."""

    name: str
    points: Mapping[float, float]

    @property
    def last(self) -> float:
        return self.points[max(self.points)]


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that is drawn, and the step between points."""

    begin: float
    end: float
    step: float

    def times(self) -> list[float]:
        count = round((self.end - self.begin) / self.step)
        return [self.begin + self.step * number for number in range(count + 1)]


def draw(
    dashboard: Dashboard, found: Mapping[Panel, Sequence[Series]], span: Span, note: str
) -> str:
    """The whole dashboard; `note` stands below its title and says where it comes from."""
    height = _TOP + _ROW * max(panel.y + panel.height for panel in dashboard.panels)
    filled = "".join(f" · {name}: {value}" for name, value in dashboard.filled.items())
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(dashboard.title)}</title><style>{_STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#f4f5f5"/>',
            _text(_GAP + 8, 28, dashboard.title + filled, "h"),
            _text(_GAP + 8, 50, note),
            *(_placed(panel, found.get(panel, ()), span) for panel in dashboard.panels),
            "</svg>\n",
        ]
    )


def _placed(panel: Panel, series: Sequence[Series], span: Span) -> str:
    x, y = panel.x * _COLUMN + _GAP, _TOP + panel.y * _ROW + _GAP
    width, height = panel.width * _COLUMN - 2 * _GAP, panel.height * _ROW - 2 * _GAP
    if panel.kind == "row":
        return _text(x + 8, y + 15, panel.title, "t")
    inside = _KINDS[panel.kind] if series else _nothing
    return (
        f'<g transform="translate({x:g} {y:g})"><rect width="{width:g}" height="{height:g}" rx="3" '
        f'fill="#fff" stroke="#dcdcdc"/>{_text(10, 19, panel.title, "t")}'
        f"{''.join(inside(panel, series, span, width, height))}</g>"
    )


def _nothing(_: Panel, __: Sequence[Series], ___: Span, width: float, height: float) -> list[str]:
    return [_text(width / 2, height / 2 + 8, "No data", "m")]


# ---- lines over time


def _timeseries(
    panel: Panel, series: Sequence[Series], span: Span, width: float, height: float
) -> Iterator[str]:
    legend = list(_legend(series, width - 24))
    bottom = height - 26 - _LEGEND_LINE * len(legend)
    stacked = (
        _stacked(series, span) if panel.stacked else [(dict(one.points), {}) for one in series]
    )
    highest = max((value for tops, _ in stacked for value in tops.values()), default=0) or 1
    steps = ticks(highest, panel.unit)
    left = 16 + _CHARACTER * max(len(shown(step, panel.unit)) for step in steps)
    plot = _Plot(left, 34, width - 14, bottom, span, steps[-1])
    yield from _axes(plot, steps, panel.unit)
    for number, (tops, bases) in enumerate(stacked):
        color = _COLORS[number % len(_COLORS)]
        yield from _line(plot, tops, bases, color, panel.fill)
    for line, entries in enumerate(legend):
        y = height - 10 - _LEGEND_LINE * (len(legend) - 1 - line)
        for at, number, name in entries:
            color = _COLORS[number % len(_COLORS)] if number >= 0 else "#fff"
            yield f'<rect x="{at + 12:.0f}" y="{y - 6}" width="12" height="3" fill="{color}"/>'
            yield _text(at + 28, y, name)


@dataclass(frozen=True, slots=True)
class _Plot:
    left: float
    top: float
    right: float
    bottom: float
    span: Span
    highest: float

    def x(self, time: float) -> float:
        share = (time - self.span.begin) / (self.span.end - self.span.begin)
        return self.left + share * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - value / self.highest * (self.bottom - self.top)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(time):.1f},{self.y(value):.1f}" for time, value in points)


def _axes(plot: _Plot, steps: Sequence[float], unit: str) -> Iterator[str]:
    for step in steps:
        y = plot.y(step)
        yield f'<path class="g" d="M{plot.left:.0f} {y:.1f}H{plot.right:.0f}"/>'
        yield _text(plot.left - 6, y + 4, shown(step, unit), "r")
    minutes = (plot.span.end - plot.span.begin) / 60
    every = 60 * next(each for each in (1, 2, 5, 10, 30, 60, 360) if minutes / each <= 7)
    time = plot.span.begin - plot.span.begin % every + every
    while time <= plot.span.end:
        clock = datetime.fromtimestamp(time, UTC).strftime("%H:%M")
        yield _text(min(plot.x(time), plot.right - 14), plot.bottom + 15, clock, "m")
        time += every


def _line(
    plot: _Plot, tops: Mapping[float, float], bases: Mapping[float, float], color: str, fill: float
) -> Iterator[str]:
    """A line, broken where nothing was told, and what lies below it."""
    for piece in _pieces(tops, plot.span.step):
        path = plot.path(piece)
        if len(piece) == 1:
            path += f" {path}"
        floor = plot.path([(time, bases.get(time, 0.0)) for time, _ in reversed(piece)])
        yield f'<polygon points="{path} {floor}" fill="{color}" fill-opacity="{fill:g}"/>'
        yield (
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5" '
            'stroke-linecap="round"/>'
        )


def _pieces(points: Mapping[float, float], step: float) -> Iterator[list[tuple[float, float]]]:
    ordered = sorted(points.items())
    numbered = enumerate(ordered)
    for _, piece in groupby(numbered, lambda each: round(each[1][0] / step) - each[0]):
        yield [point for _, point in piece]


def _stacked(
    series: Sequence[Series], span: Span
) -> list[tuple[dict[float, float], dict[float, float]]]:
    """Each series' top and what it stands on."""
    floor = dict.fromkeys(span.times(), 0.0)
    layers = []
    for one in series:
        base = dict(floor)
        for time, value in one.points.items():
            floor[time] = floor.get(time, 0.0) + value
        layers.append(({time: floor[time] for time in one.points}, base))
    return layers


def _legend(series: Sequence[Series], width: float) -> Iterator[list[tuple[float, int, str]]]:
    """Lines of (x, number, name), at most so many; what is left out is counted."""
    lines: list[list[tuple[float, int, str]]] = [[]]
    at = 0.0
    for number, one in enumerate(series):
        needs = 34 + _CHARACTER * len(one.name)
        if at and at + needs > width:
            if len(lines) == _LEGEND_LINES:
                lines[-1].append((at, -1, f"+ {len(series) - number}"))
                break
            lines.append([])
            at = 0.0
        lines[-1].append((at, number, one.name))
        at += needs
    yield from lines


# ---- single values


def _stat(
    panel: Panel, series: Sequence[Series], span: Span, width: float, height: float
) -> Iterator[str]:
    share = width / len(series)
    longest = max(len(shown(one.last, panel.unit)) for one in series)
    size = min(40, share / longest / 0.62)
    for number, one in enumerate(series):
        middle = share * (number + 0.5)
        color = _THRESHOLDS.get(panel.color(one.last) or "green", "#555")
        highest = max(one.points.values()) or 1
        plot = _Plot(
            share * number + 6, height * 0.72, share * (number + 1) - 6, height - 5, span, highest
        )
        yield from _line(plot, one.points, {}, color, 0.15)
        style = f'style="fill:{color};font-size:{size:.0f}px"'
        value = escape(shown(one.last, panel.unit))
        yield f'<text class="v" x="{middle:.0f}" y="{height * 0.6:.0f}" {style}>{value}</text>'
        if len(series) > 1:
            yield _text(middle, height * 0.6 + 17, one.name, "n")


def _bargauge(
    panel: Panel, series: Sequence[Series], _: Span, width: float, height: float
) -> Iterator[str]:
    highest = max(1.0 if panel.unit == "percentunit" else 0.0, *(one.last for one in series))
    line = min(30.0, (height - 40) / len(series))
    left = 20 + _CHARACTER * max(len(one.name) for one in series)
    for number, one in enumerate(series):
        y = 36 + line * number
        full = width - left - 70
        color = _THRESHOLDS.get(panel.color(one.last) or "green", "#555")
        yield _text(left - 8, y + line * 0.55, one.name, "r")
        for long, shade in ((full, "#eee"), (full * max(0.0, one.last) / highest, color)):
            size = f'width="{long:.1f}" height="{line * 0.7:.1f}"'
            yield f'<rect x="{left:.0f}" y="{y:.1f}" {size} fill="{shade}"/>'
        yield _text(left + full + 8, y + line * 0.55, shown(one.last, panel.unit))


_KINDS = {"timeseries": _timeseries, "stat": _stat, "bargauge": _bargauge}


def _text(x: float, y: float, said: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{named}>{escape(said)}</text>'
