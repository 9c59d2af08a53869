"""Models of a shop: each answers one question, obeys one contract (``model.py``) and must beat a named baseline."""
