"""What the server counts, in Prometheus' text. Several worker processes count together."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Counts:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        one = {"registry": self._registry}
        self.requests = Counter("studio_requests", "Requests for predictions, by HTTP status", ["status"], **one)
        self.images = Counter("studio_images", "Images that were answered", **one)
        self.seconds = Histogram("studio_request_seconds", "From a request's head to its answer", **one)
        self.batches = Histogram("studio_batch_images", "Images in one call of the network", buckets=BATCH_SIZES, **one)
        self.in_flight = Gauge("studio_in_flight", "Requests at work", multiprocess_mode="livesum", **one)

    def text(self) -> tuple[bytes, str]:
        """All of them, of all workers, and the content type."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
