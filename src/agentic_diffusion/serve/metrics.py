"""What the server counts, in the text form that Prometheus reads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
_HELP = {
    "agd_requests_total": ("counter", "Answers by endpoint and status."),
    "agd_request_seconds": ("histogram", "Seconds from a request to the end of its answer."),
    "agd_first_block_seconds": ("histogram", "Seconds from a request to its first committed block."),
    "agd_new_tokens_total": ("counter", "Tokens written, prompts excluded."),
    "agd_forwards_total": ("counter", "Forwards of the model."),
    "agd_row_forwards_total": ("counter", "Forwards, each counted once for every text in it."),
    "agd_prompt_tokens_reused_total": ("counter", "Prompt tokens that were in the cache."),
    "agd_rows_in_flight": ("gauge", "Texts that are being denoised."),
    "agd_jobs": ("gauge", "Jobs in flight and waiting."),
}


class Metrics:
    """Counters and histograms; may be used from any thread."""

    def __init__(self) -> None:
        """Nothing was counted."""
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answer; `endpoint` is a route, never what a client wrote."""
        with self._lock:
            self._requests[endpoint, status] += 1
        self.observe("agd_request_seconds", seconds)

    def observe(self, name: str, seconds: float) -> None:
        """Put one time into a histogram."""
        with self._lock:
            counts = self._times.setdefault(name, [0] * (len(_BUCKETS) + 1))
            counts[next((place for place, most in enumerate(_BUCKETS) if seconds <= most), len(_BUCKETS))] += 1
            self._sums[name] = self._sums.get(name, 0.0) + seconds

    def text(self, values: Mapping[str, float]) -> str:
        """All of it, and `values` of counters and gauges that others hold."""
        with self._lock:
            lines = {
                "agd_requests_total": [
                    f'agd_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
                    for (endpoint, status), count in sorted(self._requests.items())
                ]
            }
            for name, counts in self._times.items():
                lines[name] = self._histogram(name, counts)
        lines |= {name: [f"{name} {value:g}"] for name, value in values.items()}
        shown = []
        for name, (kind, text) in _HELP.items():
            shown += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines.get(name, [])]
        return "\n".join(shown) + "\n"

    def _histogram(self, name: str, counts: list[int]) -> list[str]:
        made, total = [], 0
        for most, count in zip((*_BUCKETS, "+Inf"), counts, strict=True):
            total += count
            made.append(f'{name}_bucket{{le="{most}"}} {total}')
        return [*made, f"{name}_sum {self._sums[name]:.6g}", f"{name}_count {total}"]
