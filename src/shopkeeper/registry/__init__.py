"""Versions of models: kept whole, compared, promoted, taken back, and served without the books they are kept in."""

from shopkeeper.registry.registry import Registry
from shopkeeper.registry.shelf import version_in
from shopkeeper.registry.version import Difference, ModelVersion, Served, digest_of

__all__ = ["Difference", "ModelVersion", "Registry", "Served", "digest_of", "version_in"]
