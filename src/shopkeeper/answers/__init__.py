"""What a published version says of each customer and product: the questions, and their answers kept as JSON, ready to send."""

from shopkeeper.answers.book import FILE, Book, stands, write
from shopkeeper.answers.questions import CUSTOMER, LISTED, PRODUCT, RECOMMENDED, Form, Question, section_sql, tables_of

__all__ = [
    "CUSTOMER",
    "FILE",
    "LISTED",
    "PRODUCT",
    "RECOMMENDED",
    "Book",
    "Form",
    "Question",
    "section_sql",
    "stands",
    "tables_of",
    "write",
]
