"""Shopkeeper: from a shop's raw order lines and clicks to a warehouse it can trust."""

__version__ = "0.1.0"
