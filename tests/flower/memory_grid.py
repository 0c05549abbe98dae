"""A grid of Flower in memory: nodes are real ClientApps, messages go through Flower's bytes, and tests may meddle."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

Meddle = Callable[[int, Message], Message]


def untouched(_: int, message: Message) -> Message:
    return message


class Node:
    """A SuperNode: runs its app once for each message, one at a time."""

    def __init__(self, app: ClientApp, config: dict[str, Any]) -> None:
        self.app = app
        self.config = config
        self.received: list[Message] = []
        self._turn = threading.Lock()

    def reply(self, run: int, me: int, message: Message) -> Message:
        with self._turn:
            self.received.append(message)
            context = Context(run, me, self.config, RecordDict(), {})
            try:
                return self.app(message, context)
            except BaseException as error:
                return Message(Error(2, f"{type(error).__name__}: {error}"), reply_to=message)


class MemoryGrid(Grid):
    """``crossed``: every byte that a SuperLink would see. ``to_node`` and ``to_server``: what it makes of messages."""

    ids = itertools.count(1)

    def __init__(self, nodes: dict[int, Node], run: int = 77) -> None:
        self.nodes = nodes
        self.crossed: list[bytes] = []
        self.to_node: Meddle = untouched
        self.to_server: Meddle = untouched
        self._run = Run.create_empty(run)
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, 1, 1
        self._replies: dict[str, Future[Message]] = {}
        self._threads = ThreadPoolExecutor(8)

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(self, *arguments: Any, **options: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            name = str(next(self.ids))
            message.metadata.__dict__["_message_id"] = name
            node = message.metadata.dst_node_id
            sent = self._through(message)
            self._replies[name] = self._threads.submit(self._deliver, node, sent)
            pushed.append(name)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        ready = [name for name in message_ids if name in self._replies and self._replies[name].done()]
        return [self._replies.pop(name).result() for name in ready]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise NotImplementedError

    def close(self) -> None:
        self._threads.shutdown()

    def _deliver(self, node: int, message: Message) -> Message:
        there = self.nodes.get(node)
        if there is None:
            return Message(Error(5, "node unavailable"), reply_to=message)
        reply = there.reply(self._run.run_id, node, self.to_node(node, message))
        return self.to_server(node, self._through(reply))

    def _through(self, message: Message) -> Message:
        data = message_to_proto(message)
        self.crossed.append(data.SerializeToString())
        return message_from_proto(data)
