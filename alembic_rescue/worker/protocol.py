"""The protocol between the caller and a worker: one JSON document per line, on separate descriptors.

Standard input and output belong to env.py: what it prints or reads is not part of the conversation.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Any

from alembic_rescue.worker.values import decoded, encoded

_CHUNK = 1 << 16


class Ended(Exception):  # noqa: N818 - the end of a conversation is not always an error
    """The other side is gone."""


class Channel:
    """One side of a conversation.  Several threads may send; one receives."""

    def __init__(self, reads_from: int, writes_to: int) -> None:
        self._in, self._out = reads_from, writes_to
        self._received = bytearray()
        self._sending = threading.Lock()
        self._ready = select.poll()  # select() takes no descriptor above 1023
        self._ready.register(reads_from, select.POLLIN)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            Ended: the other side is gone.
        """
        line = json.dumps(encoded(message), separators=(",", ":")).encode() + b"\n"
        try:
            with self._sending:
                view = memoryview(line)
                while view:
                    view = view[os.write(self._out, view) :]
        except (BrokenPipeError, OSError) as error:
            raise Ended from error

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None if no complete one arrived within `seconds`.

        Raises:
            Ended: there are no more messages.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._ready.poll(None if left is None else 1000 * left):
                return None
            try:
                chunk = os.read(self._in, _CHUNK)
            except OSError as error:
                raise Ended from error
            if not chunk:
                raise Ended
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message: dict[str, Any] = decoded(json.loads(line))
        return message

    def close(self) -> None:
        """End the conversation on this side."""
        for descriptor in {self._in, self._out}:
            os.close(descriptor)
