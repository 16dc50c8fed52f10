"""Figures as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from ave.api.figures import FIGURES
from ave.api.view import View

MEDIA_TYPE = CONTENT_TYPE_LATEST


class Figures(Collector):
    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def collect(self) -> Iterator[GaugeMetricFamily]:
        view = self._view()
        for figure in FIGURES:
            family = GaugeMetricFamily(figure.name, figure.phrase, labels=figure.labels)
            for values, sample in figure.samples(view):
                family.add_metric(values, sample)
            yield family


def registry(view: Callable[[], View]) -> CollectorRegistry:
    """Of the host that answers now. Its own: the library's has figures of the process that runs it."""
    made = CollectorRegistry()
    made.register(Figures(view))
    return made


def text(known: CollectorRegistry) -> bytes:
    return generate_latest(known)
