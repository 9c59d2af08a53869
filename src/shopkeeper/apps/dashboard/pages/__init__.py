"""The pages, one module each: every module here has a ``PAGE``. Put a module here, and its page is there."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from shopkeeper.apps.dashboard.view import Page

SECTIONS = ("", "Insight", "Running")


@cache
def pages() -> tuple[Page, ...]:
    """Return all pages, in the order of the list."""
    found = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    told: list[Page] = [each.PAGE for each in found if hasattr(each, "PAGE")]
    return tuple(sorted(told, key=lambda page: (SECTIONS.index(page.section), page.place, page.path)))
