"""What can be shown of a published version: questions with their words, and the place where they are answered."""

from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown, heading, of_question
from shopkeeper.serving.exhibits.filters import Choices, Filter, filter_of
from shopkeeper.serving.exhibits.gallery import Gallery, Visit

__all__ = ["Choices", "Exhibit", "Filter", "Gallery", "Shown", "Visit", "filter_of", "heading", "of_question"]
