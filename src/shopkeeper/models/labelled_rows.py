"""Rows to learn labels from: labelled customers with features and attributes as of the day the label became known."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.models.classifiers import LABEL
from shopkeeper.models.model import History, Model
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

MOST_MOMENTS = 24
FURTHEST_WEST = timedelta(hours=12)
ATTRIBUTE = "attribute_"
"""What the columns made of attributes begin with, so that none hides a feature."""


def labelled_rows(history: History) -> tuple[pa.Table, list[str]]:
    """Return one row per labelled customer, ``customer_id, as_of``, features, attributes and ``label``, sorted; and notes.

    Features are as of the day of ``labelled_at`` (twelve hours before it, for it is UTC and a shop may lie west); of its
    month's first day where there are more than 24 such days (quarter, year where those are too many): earlier is safe.
    Where most have no ``labelled_at``, all are as of the day after the last order; else those without are left out.
    Raises ModelError if there are no labels, labels are not 0 or 1, or no labelled customer is known.
    """
    labels, notes = _labels_of(history)
    labels, moments = _moments_of(labels, history, notes)
    parts, said = [], []
    for moment in moments:
        mine = labels.filter(pc.equal(labels[AS_OF], pa.scalar(moment, pa.date32())))
        known = history.features([moment])
        at = pc.index_in(mine[CUSTOMER_ID].combine_chunks(), known[CUSTOMER_ID].combine_chunks())
        found = mine.filter(at.is_valid())
        features = known.take(at.drop_null())
        parts.append(features.append_column(LABEL, found[LABEL]))
        # Moment by moment, so that what is said of all customers is never held for all moments at once.
        attributes = history.attributes([moment])
        said.append(attributes.filter(pc.is_in(attributes[CUSTOMER_ID], found[CUSTOMER_ID].combine_chunks())))
    rows = pa.concat_tables(parts, promote_options="default")
    missing = labels.num_rows - rows.num_rows
    if not rows.num_rows:
        raise ModelError(
            f"labels must be of customers the shop knows; none of {labels.num_rows} labelled customers has an order or an "
            f"attribute. Check that customer_id means the same in both."
        )
    if missing:
        notes.append(
            f"{missing:,} of {labels.num_rows:,} labelled customers had no order and no attribute by then and were left out."
        )
    rows = with_attributes(rows, pa.concat_tables(said))
    for at, name in enumerate(rows.column_names):
        if name.startswith(ATTRIBUTE):
            rows = rows.set_column(at, name, _numbers_or_texts(rows[name].combine_chunks()))
    return rows.sort_by([(CUSTOMER_ID, "ascending"), (AS_OF, "ascending")]), notes


def _labels_of(history: History) -> tuple[pa.Table, list[str]]:
    labels, notes = history.labels(), []
    if not labels.num_rows:
        raise ModelError("labels must be at hand to train on; got none. Configure a table of customer_id and label.")
    kept = labels.filter(pc.and_(labels[LABEL].is_valid(), labels[CUSTOMER_ID].is_valid()))
    if kept.num_rows < labels.num_rows:
        left_out = labels.num_rows - kept.num_rows
        notes.append(f"Left out for want of a label or a customer: {left_out:,} of {labels.num_rows:,} rows.")
    values = pc.unique(kept[LABEL]).to_pylist()
    odd = sorted(str(value) for value in values if value not in {0, 1, "0", "1"})
    if odd:
        raise ModelError(f"a label must be 0 or 1; got {', '.join(odd[:5])}{', …' if len(odd) > 5 else ''} in labels.")
    if len(values) < 2:
        raise ModelError(
            f"a label must have both classes; got {', '.join(map(str, values)) or 'none'} in all of {kept.num_rows} rows."
        )
    if pc.count_distinct(kept[CUSTOMER_ID]).as_py() < kept.num_rows:
        raise ModelError("labels must have one row per customer; some have several. Keep the one that counts.")
    return kept.set_column(kept.column_names.index(LABEL), LABEL, kept[LABEL].cast(pa.int64())), notes


def _moments_of(labels: pa.Table, history: History, notes: list[str]) -> tuple[pa.Table, list[date]]:
    """Return the labels with their moment in ``as_of``, and the distinct moments; add to the notes."""
    last = history.last_day
    if last is None:
        raise ModelError("a history must have orders to learn labels from; got none. Load orders first.")
    now = last + timedelta(days=1)
    days = [_day(value) for value in labels["labelled_at"].to_pylist()]
    undated = days.count(None)
    if 0 < undated <= len(days) / 2:
        notes.append(f"{undated:,} labels do not say when they became known, as the others do, and were left out.")
        labels = labels.filter(pa.array([day is not None for day in days]))
        days = [day for day in days if day]
    elif undated:
        notes.append(
            f"{undated:,} of {len(days):,} labels do not say when they became known: the features of all are as of {now}, and "
            f"may know what came after the label."
        )
        days = [now] * len(days)
    moments = [min(day, now) for day in days if day]
    for start in (_month, _quarter, _year):
        if len(set(moments)) > MOST_MOMENTS:
            moments = [start(moment) if moment < now else now for moment in moments]
    return labels.append_column(AS_OF, pa.array(moments, pa.date32())), sorted(set(moments))


def _day(value: Any) -> date | None:
    """Return the shop's day of a label, wherever the shop is: west of Greenwich a UTC day may begin before the shop's."""
    return (value - FURTHEST_WEST).date() if isinstance(value, datetime) else value


def _month(day: date) -> date:
    return day.replace(day=1)


def _quarter(day: date) -> date:
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


def with_attributes(rows: pa.Table, tall: pa.Table) -> pa.Table:
    """Return the rows with a column of texts per attribute that ``tall`` (customer_id, as_of, name, value) tells."""
    keys, own = _keys(rows), _keys(tall)
    at = pc.index_in(own, keys)
    names = tall["name"].combine_chunks()
    for name in sorted(value for value in pc.unique(names).to_pylist() if value is not None):
        mine = pc.and_(pc.equal(names, name), at.is_valid())
        places = at.filter(mine).to_numpy()
        values = tall["value"].combine_chunks().filter(mine).to_numpy(zero_copy_only=False)
        column = np.full(rows.num_rows, None, object)
        column[places] = values
        rows = rows.append_column(f"{ATTRIBUTE}{name}", pa.array(column, pa.string()))
    return rows


def _keys(rows: pa.Table) -> pa.Array:
    """Return one text per customer and moment."""
    as_of = rows[AS_OF].combine_chunks().cast(pa.date32()).cast(pa.string())
    return pc.binary_join_element_wise(as_of, rows[CUSTOMER_ID].combine_chunks(), " ")


def _numbers_or_texts(values: pa.Array) -> pa.Array:
    """Return numbers if all values are, else the texts."""
    try:
        return values.cast(pa.float64())
    except pa.ArrowInvalid:
        return values


def columns_of(rows: pa.Table) -> tuple[list[str], list[str]]:
    """Return the names of the columns to learn from: numbers, texts; both sorted, without key and label."""
    numbers, texts = [], []
    for column in rows.schema:
        if column.name in {CUSTOMER_ID, AS_OF, LABEL}:
            continue
        kind = column.type
        if (
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_boolean(kind)
        ):
            numbers.append(column.name)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            texts.append(column.name)
    return sorted(numbers), sorted(texts)


def as_learnt(rows: pa.Table, model: Model) -> pa.Table:
    """Return the rows with attributes in the types that a model learnt them in.

    One that no row has is missing in all; a text where a number was learnt is missing too.
    """
    numbers, texts = model.parameters["numbers"], model.parameters["texts"]
    for name in (*numbers, *texts):
        if not name.startswith(ATTRIBUTE):
            continue
        kind = pa.float64() if name in numbers else pa.string()
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
            continue
        column = rows[name].combine_chunks()
        if column.type != kind:
            column = _numbers_where_they_are(column) if name in numbers else column.cast(kind)
            rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def _numbers_where_they_are(texts: pa.Array) -> pa.Array:
    is_number = pc.match_substring_regex(texts, r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")
    return pc.utf8_trim_whitespace(pc.if_else(is_number, texts, None)).cast(pa.float64())
