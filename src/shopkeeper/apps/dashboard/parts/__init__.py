"""What pages are made of: cards, charts, tables, filters, and how emptiness and errors look. Each takes the page's view first."""

from shopkeeper.apps.dashboard.parts.cards import Card, cards
from shopkeeper.apps.dashboard.parts.charts import chart
from shopkeeper.apps.dashboard.parts.leads import lead, lead_to
from shopkeeper.apps.dashboard.parts.look import header, heading, note, section
from shopkeeper.apps.dashboard.parts.states import empty
from shopkeeper.apps.dashboard.parts.tables import facts, table

__all__ = [
    "Card",
    "cards",
    "chart",
    "empty",
    "facts",
    "header",
    "heading",
    "lead",
    "lead_to",
    "note",
    "section",
    "table",
]
