"""Figures and numbers as people read them: one palette, one look for light and dark, formats of the shop's currency."""

from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import DARK, LIGHT, Theme

__all__ = ["DARK", "LIGHT", "Formats", "Theme"]
