"""What the documentation says of the tables that can be profiled."""

from collections.abc import Mapping

from shopkeeper import vocabulary as v
from shopkeeper.serving.catalogue import Described
from shopkeeper.serving.profiling.tables import TableWords


def words_of(tables: Mapping[str, Described]) -> dict[str, TableWords]:
    """Return grain and columns of each published table, by ``schema.table``; ``tables`` as ``catalogue`` tells them."""
    schemas = {*v.PUBLISHED_SCHEMAS, v.PREDICTIONS}
    return {
        name: TableWords(each.about.removeprefix("Grain: "), each.columns)
        for name, each in tables.items()
        if each.schema in schemas
    }
