"""What a table holds: its columns one by one, how they go together, and which rows are odd. All of it counted in the engine."""

from shopkeeper.serving.profiling.faults import KINDS as FAULTY
from shopkeeper.serving.profiling.faults import Fault, faults
from shopkeeper.serving.profiling.pairs import (
    LINEAGE,
    Association,
    Correlation,
    Grid,
    Group,
    associations,
    boxes,
    boxes_sql,
    correlations,
    grid,
    grid_sql,
)
from shopkeeper.serving.profiling.shapes import Bin, Box, Column, Moments, Numbers, Texts, Value
from shopkeeper.serving.profiling.study import SAME, Picture, Study, study, study_published
from shopkeeper.serving.profiling.tables import (
    TableProfile,
    TableSummary,
    TableWords,
    find_table,
    profile,
    summaries,
)
from shopkeeper.serving.profiling.words import words_of

__all__ = [
    "FAULTY",
    "LINEAGE",
    "SAME",
    "Association",
    "Bin",
    "Box",
    "Column",
    "Correlation",
    "Fault",
    "Grid",
    "Group",
    "Moments",
    "Numbers",
    "Picture",
    "Study",
    "TableProfile",
    "TableSummary",
    "TableWords",
    "Texts",
    "Value",
    "associations",
    "boxes",
    "boxes_sql",
    "correlations",
    "faults",
    "find_table",
    "grid",
    "grid_sql",
    "profile",
    "study",
    "study_published",
    "summaries",
    "words_of",
]
