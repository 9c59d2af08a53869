"""The questions that apps ask of a published version; read-only, and nothing but what is published."""

from shopkeeper.serving.dossiers import Dossier, Section, customer_dossier, product_dossier
from shopkeeper.serving.live import Live
from shopkeeper.serving.queries import Answer, Serving

__all__ = ["Answer", "Dossier", "Live", "Section", "Serving", "customer_dossier", "product_dossier"]
