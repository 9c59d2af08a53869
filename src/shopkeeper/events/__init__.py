"""What happens in the shop, from the request that tells it to a log that no crash loses: intake, log, collector."""

from shopkeeper.events.collector import Collector, Receipt
from shopkeeper.events.log import Batch, Log

__all__ = ["Batch", "Collector", "Log", "Receipt"]
