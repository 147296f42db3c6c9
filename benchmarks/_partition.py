"""Routes between the nodes of a cluster that can be cut: nothing comes through, and nobody notices, as in a network."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Coroutine, Dict, Optional, Set, Tuple

from _nats import Node, free_ports

_READ_BYTES = 2**16


class PartitionableRoutes:
    """A forwarder for each pair of nodes, on a loop of its own, inside `with`. `port` is the port of a pair."""

    def __init__(self) -> None:
        self._ports: Dict[Tuple[str, str], int] = {}
        self._cut: Set[str] = set()
        self._restored: Optional[asyncio.Event] = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> PartitionableRoutes:
        self._thread.start()
        self._has_begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._has_begun.set()
        await self._end.wait()

    def port(self, node: Node, other: Node) -> int:
        """Where `node` reaches `other`."""
        pair = (node.name, other.name)
        if pair not in self._ports:
            (self._ports[pair],) = free_ports(1)
            self._run(self._listen(pair, other.route_port))
        return self._ports[pair]

    def cut(self, node: Node) -> None:
        """From now on nothing comes through between this node and the others. It waits for `restore`."""
        self._run(self._change({node.name}))

    def restore(self) -> None:
        self._run(self._change(set()))

    async def _change(self, cut: Set[str]) -> None:
        if self._restored is not None:
            self._restored.set()
        self._restored = asyncio.Event()
        self._cut = cut

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self, pair: Tuple[str, str], to: int) -> None:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._pass(pair)
            try:
                other_reader, other_writer = await asyncio.open_connection("127.0.0.1", to)
            except OSError:
                writer.close()
                return
            await asyncio.gather(self._copy(pair, reader, other_writer), self._copy(pair, other_reader, writer))

        await asyncio.start_server(forward, "127.0.0.1", self._ports[pair])

    async def _copy(self, pair: Tuple[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                piece = await reader.read(_READ_BYTES)
                await self._pass(pair)
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _pass(self, pair: Tuple[str, str]) -> None:
        while self._cut & set(pair):
            assert self._restored is not None
            await self._restored.wait()
