"""What the bridge counts of its own work."""

from safetytwin.exposition import Counter, Exposition, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""


class BridgeMetrics:
    """What the HTTP side counts; what the twins and the store know of themselves is asked when the page is written."""

    def __init__(self) -> None:
        self.requests = Counter()
        self.refusals = Counter()
        self.frames = Counter()
        self.body_bytes = Counter()
        self.ingest_seconds = Histogram(LATENCY_BUCKETS)
        self.response_bytes = Counter()

    def write(self, page: Exposition) -> None:
        """Write the families that this keeps."""
        page.counter("safetytwin_bridge_requests_total", "Requests answered, by method and status.", self.requests)
        page.counter("safetytwin_bridge_refusals_total", "Requests refused, by reason.", self.refusals)
        page.counter("safetytwin_bridge_frames_total", "Frames taken, by what became of them.", self.frames)
        page.counter(
            "safetytwin_bridge_received_bytes_total", "Bytes of frames, as sent (wire) and inflated.", self.body_bytes
        )
        page.counter("safetytwin_bridge_sent_bytes_total", "Bytes of answers.", self.response_bytes)
        page.histogram(
            "safetytwin_bridge_ingest_seconds",
            "Time from the end of a request's body to its frames being on disk.",
            self.ingest_seconds,
        )
