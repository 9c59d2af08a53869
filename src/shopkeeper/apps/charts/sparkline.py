"""A small line without axes, as a picture: it stands in a card at once, before the browser has read what draws larger charts."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from shopkeeper.apps.charts.theme import Theme

WIDE, HIGH, EDGE = 200, 40, 2


def sparkline(theme: Theme, values: Sequence[float], *, label: str) -> str:
    """Return the course of two or more values as an image's HTML; ``label`` is for those who do not see it.

    Empty for fewer values.
    """
    if len(values) < 2:
        return ""
    low, span = min(values), max(values) - min(values) or 1.0
    step = WIDE / (len(values) - 1)
    points = [
        (place * step, EDGE + (HIGH - 2 * EDGE) * (1 - (value - low) / span)) for place, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none">'
        f'<polygon points="0,{HIGH} {line} {WIDE},{HIGH}" fill="{theme.main}" opacity="0.12"/>'
        f'<polyline points="{line}" fill="none" stroke="{theme.main}" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'
        f"</svg>"
    )
    # Pages let a picture through, and no drawing.
    source = b64encode(drawn.encode()).decode()
    return f'<img class="shop-spark" alt="{escape(label)}" src="data:image/svg+xml;base64,{source}">'
