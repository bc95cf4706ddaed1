"""Plots as inline SVG: numbers in, text out. Colours are CSS classes of page.css."""
import html
import math

WIDTH = 860
CHAR = 6.6  # About what a character of the labels takes, in pixels.


def number(value):
    """With as many digits as carry meaning."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def text(x, y, words, anchor="start", kind="label"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
            f"{html.escape(words)}</text>")


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def svg(width, height, parts, title):
    return (f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{html.escape(title)}">'
            + "".join(parts) + "</svg>")


class LogScale:
    """Values to pixels; whole decades at the ends are not needed, but ticks are 1, 2, 5, 10..."""

    def __init__(self, low, high, begin, end):
        self.low, self.high = math.log10(low), math.log10(max(high, low * 1.01))
        self.begin, self.end = begin, end

    def at(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)

    def ticks(self, spacing=45):
        """Ticks at least that many pixels apart."""
        found = []
        for decade in range(math.floor(self.low), math.ceil(self.high) + 1):
            for factor in (1, 2, 5):
                value = factor * 10.0 ** decade
                if self.low <= math.log10(value) <= self.high:
                    found.append(value)
        kept = []
        for value in sorted(found, key=lambda v: (-round(math.log10(v), 6).is_integer(), v)):
            if all(abs(self.at(value) - self.at(other)) >= spacing for other in kept):
                kept.append(value)
        return sorted(kept)


class LinearScale:
    def __init__(self, high, begin, end):
        self.high, self.begin, self.end = high, begin, end

    def at(self, value):
        return self.begin + value / self.high * (self.end - self.begin)

    def ticks(self):
        step = 10 ** math.floor(math.log10(self.high))
        while self.high / step < 4:
            step /= 2
        return [step * i for i in range(int(self.high / step + 1e-9) + 1)]


def tick_text(value):
    return f"{value:g}" if value < 10000 else f"{value:,.0f}"


def spread(wanted, height, low, high):
    """Positions near the wanted ones, at least `height` apart and within the ends."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [0.0] * len(wanted)
    at = low - height
    for index in order:
        at = max(wanted[index], at + height)
        placed[index] = at
    limit = high
    for index in reversed(order):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - height
    return placed


def distributions(rows, unit, title):
    """Rows of (name, class, values): each sample a mark, the median and percentiles on top."""
    left = max(len(name) for name, _, _ in rows) * CHAR + 16
    right = 150
    height = 26
    bottom = 34 + height * len(rows)
    scale = LogScale(min(min(values) for _, _, values in rows) * 0.9,
                     max(max(values) for _, _, values in rows) * 1.1, left, WIDTH - right)
    parts = []
    for value in scale.ticks():
        parts.append(line(scale.at(value), 20, scale.at(value), bottom - 8, "grid"))
        parts.append(text(scale.at(value), bottom + 6, tick_text(value), "middle", "tick"))
    parts.append(text(scale.end, bottom + 22, f"{unit}, logarithmic", "end", "tick"))
    parts.append(text(WIDTH - right + 12, 12, "p50", "start", "tick"))
    parts.append(text(WIDTH - right + 62, 12, "p95", "start", "tick"))
    parts.append(text(WIDTH - right + 108, 12, "max", "start", "tick"))
    for index, (name, kind, values) in enumerate(rows):
        y = 32 + index * height
        ordered = sorted(values)
        # At most 200 marks, evenly through the order, the ends among them.
        count = min(len(ordered), 200)
        shown = [ordered[round(i * (len(ordered) - 1) / max(1, count - 1))] for i in range(count)]
        parts.append(text(left - 10, y + 4, name, "end"))
        for value in shown:
            x = scale.at(value)
            parts.append(line(x, y - 7, x, y + 7, f"sample {kind}"))
        at = lambda fraction: ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]
        parts.append(line(scale.at(at(0.05)), y, scale.at(at(0.95)), y, f"range {kind}"))
        parts.append(f'<circle cx="{scale.at(at(0.5)):.1f}" cy="{y}" r="4.5" class="dot {kind}"/>')
        for x, value in ((12, at(0.5)), (62, at(0.95)), (108, ordered[-1])):
            parts.append(text(WIDTH - right + x, y + 4, number(value), "start", "value"))
    return svg(WIDTH, bottom + 28, parts, title)


def curves(series, x_name, y_name, title, x_words=None):
    """Series of (name, class, [(x, y)]), both axes logarithmic, names beside their last points.
    x_words: what stands below an x instead of its number."""
    left, right, top, height = 62, 190, 14, 300
    xs = sorted({x for _, _, points in series for x, _ in points})
    ys = [y for _, _, points in series for _, y in points]
    x_scale = LogScale(xs[0], xs[-1], left + 10, WIDTH - right)
    y_scale = LogScale(min(ys) * 0.8, max(ys) * 1.25, top + height, top)
    parts = []
    for value in y_scale.ticks(26):
        parts.append(line(left, y_scale.at(value), WIDTH - right, y_scale.at(value), "grid"))
        parts.append(text(left - 8, y_scale.at(value) + 4, tick_text(value), "end", "tick"))
    for x in xs:
        parts.append(text(x_scale.at(x), top + height + 18,
                          x_words[x] if x_words else tick_text(x), "middle", "tick"))
    parts.append(text(WIDTH - right, top + height + 36, x_name, "end", "tick"))
    parts.append(text(2, top - 2, y_name, "start", "tick"))
    labels = spread([y_scale.at(points[-1][1]) for _, _, points in series], 15, top + 4,
                    top + height)
    for (name, kind, points), label in zip(series, labels):
        path = " ".join(f"{x_scale.at(x):.1f},{y_scale.at(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" class="curve {kind}"/>')
        for x, y in points:
            parts.append(f'<circle cx="{x_scale.at(x):.1f}" cy="{y_scale.at(y):.1f}" r="3" '
                         f'class="dot {kind}"><title>{html.escape(name)}: {number(y)}</title>'
                         "</circle>")
        end_x, end_y = x_scale.at(points[-1][0]), y_scale.at(points[-1][1])
        parts.append(line(end_x + 4, end_y, WIDTH - right + 14, label, "leader"))
        parts.append(text(WIDTH - right + 18, label + 4, name))
    return svg(WIDTH, top + height + 42, parts, title)


def gantt(rows, unit, title):
    """Rows of (name, start, duration), as they follow each other."""
    left, right, height = 110, 80, 24
    end = max(start + duration for _, start, duration in rows)
    scale = LinearScale(end, left, WIDTH - right)
    bottom = 14 + height * len(rows)
    parts = []
    for value in scale.ticks():
        parts.append(line(scale.at(value), 6, scale.at(value), bottom, "grid"))
        parts.append(text(scale.at(value), bottom + 16, tick_text(value), "middle", "tick"))
    parts.append(text(WIDTH - right + 8, bottom + 16, unit, "start", "tick"))
    for index, (name, start, duration) in enumerate(rows):
        y = 10 + index * height
        width = max(1.5, scale.at(start + duration) - scale.at(start))
        parts.append(text(left - 10, y + 13, name, "end"))
        parts.append(f'<rect x="{scale.at(start):.1f}" y="{y + 2}" width="{width:.1f}" '
                     f'height="{height - 8}" rx="2" class="bar davit"/>')
        parts.append(text(scale.at(start) + width + 6, y + 13, f"{duration:,.0f}", "start",
                          "value"))
    return svg(WIDTH, bottom + 24, parts, title)
