"""A provider that answers at once, or after a time, in a process of its own, so that what is measured is the client.

It parses no JSON: every POST gets the same completion (or stream), written in one piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

ANSWER = '{"intent": "card_arrival", "urgency": 2}'


class _Instant(asyncio.Protocol):
    def __init__(self) -> None:
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            size = int(self._read[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + size:
                return
            self._read = self._read[end + 4 + size :]
            if _DELAY_S:
                asyncio.get_running_loop().call_later(_DELAY_S, self._transport.write, _RESPONSE)
            else:
                self._transport.write(_RESPONSE)


def _response() -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "instant",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER, "refusal": None}}
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 12, "total_tokens": 72},
    }
    raw = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: r1\r\n"
        f"Content-Length: {len(raw)}\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + raw


_RESPONSE = _response()
_DELAY_S = float(sys.argv[1]) if __name__ == "__main__" else 0.0


@contextlib.contextmanager
def instant_server(delay_s: float = 0.0) -> Iterator[str]:
    """Run the server until the block ends; gives its base URL."""
    process = subprocess.Popen([sys.executable, __file__, str(delay_s)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Instant, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
