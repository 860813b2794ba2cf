"""Units of a scene on Dask's workers: on this machine, or on a cluster that sees the same folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.machine import available_cores, share_heap
from rsseg_edge.scenes.gdal import reason
from rsseg_edge.scenes.settings import SceneRequest
from rsseg_edge.scenes.units import ScoringModel, Task, do_unit, open_model, split, windows_at_once
from rsseg_edge.scenes.work import BandDone

UNITS, LEAST = 3, 4
"""A worker's share of a scene is cut into so many units, for a slow one is waited for; but a unit costs another row of
windows, so that it has at least so many bands."""


class DaskPool:
    """Dask workers, each with the model in memory. A worker that is lost is replaced, and its unit done again.

    Args:
        workers: processes on this machine; None where ``address`` is given.
        address: of a scheduler, such as tcp://host:8786. Its workers need this package and the same folders.

    Raises:
        UsageError: Dask is not installed.
        RssegError: the scheduler does not answer.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        try:
            import distributed
        except ImportError:
            raise UsageError("several workers need distributed: pip install 'rsseg-edge[cluster]'") from None
        self._threads: int | None = None
        self._local: Any = None
        if address is None:
            workers = workers or 1
            self._threads = max(1, available_cores() // workers)
            self._local = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                memory_limit=0,  # the network's memory is no leak
                silence_logs=50,  # a lost worker is told of here, in one line
            )
        try:
            self._client = distributed.Client(self._local or address, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise RssegError(f"no Dask scheduler at {address}: {reason(error)}") from None

    def bands(self, task: Task, missing: Sequence[range]) -> Iterator[BandDone]:
        """See :class:`rsseg_edge.scenes.units.Pool`."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        workers = max(1, len(self._client.nthreads()))
        size = unit_size(sum(map(len, missing)), workers)
        futures = [
            self._client.submit(_work, task, self._threads, (unit.start, unit.stop), pure=False)
            for unit in split(missing, size)
        ]
        try:
            for future in as_completed(futures, loop=self._client.loop):
                yield from future.result()
        except KilledWorker as error:
            raise RssegError(f"{task.scene}: workers died again and again on the same bands: {reason(error)}") from None
        finally:
            self._client.cancel(futures)

    def close(self) -> None:
        """Let the workers go."""
        self._client.close()
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> DaskPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def unit_size(bands: int, workers: int) -> int:
    """Bands of a unit.

    >>> unit_size(10, 2), unit_size(16, 2), unit_size(120, 2)
    (5, 4, 20)
    """
    units = min(UNITS, max(1, bands // (LEAST * workers)))
    return -(-bands // (units * workers)) or 1


def _work(task: Task, threads: int | None, bands: tuple[int, int]) -> list[BandDone]:
    try:
        cores = task.request.threads or threads or available_cores()
        segmenter = _model(_Key(task.request), cores)
        segmenter.serve(windows_at_once(task.request, task.plan, cores))
        return do_unit(task, segmenter, range(*bands))
    except RssegError as error:
        failure = type(error)(str(error))
    raise failure  # anew: what caused the first one may be an exception of GDAL, which does not travel


class _Key:
    """What a model depends on, of a request."""

    def __init__(self, request: SceneRequest) -> None:
        self.request = request
        asked = (request.model, request.vocabulary, request.fast, request.engine, request.precision, request.threads)
        self._what = repr(asked)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other._what == self._what

    def __hash__(self) -> int:
        return hash(self._what)


@lru_cache(maxsize=1)
def _model(key: _Key, cores: int) -> ScoringModel:
    """Once a worker."""
    share_heap()
    return open_model(key.request, cores)[0]
