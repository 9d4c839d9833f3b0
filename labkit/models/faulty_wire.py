"""How an answer is written to its client, and what goes wrong while it is."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.errors import ModelError
from labkit.models.faults import FaultKind
from labkit.models.openai_format import Envelope, error_body
from labkit.models.protocol import Chunk, Completion

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["AnswerWriter", "ResetNow", "error_response", "json_response", "reset"]

_PROXY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_DRIPS = 8


class ResetNow(Exception):
    """The connection is to be reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerWriter:
    """Writes one answer, with one fault or none.

    Args:
        envelope: What all its bodies share.
        fault: The request's fault; kinds that spoil the text have been dealt with before.
        drip_s: Pause between the pieces of a slow drip.
        wants_usage: Whether a stream ends with the tokens.
    """

    envelope: Envelope
    fault: FaultKind | None
    drip_s: float
    wants_usage: bool

    async def whole(self, request: web.Request, completion: Completion) -> web.StreamResponse:
        """Write it in one piece.

        Raises:
            ResetNow: The fault is a reset.
        """
        from aiohttp import web

        if self.fault == "reset":
            raise ResetNow
        if self.fault == "not_json":
            return web.Response(text=_PROXY_PAGE, content_type="text/html")
        body = self._encoded(self.envelope.whole(self._misencodable(completion)))
        headers = {"x-request-id": self.envelope.id, "Content-Type": "application/json; charset=utf-8"}
        if self.fault not in ("hang_in_body", "slow_drip"):
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        size = -(-len(body) // _DRIPS)
        for start in range(0, len(body), size):
            if self.fault == "hang_in_body" and start:
                await _for_ever()
            await response.write(body[start : start + size])
            if self.fault == "slow_drip":
                await asyncio.sleep(self.drip_s)
        await response.write_eof()
        return response

    async def stream(self, request: web.Request, first: Chunk, rest: AsyncIterator[Chunk]) -> web.StreamResponse:
        """Write it as server-sent events, one for each chunk.

        Raises:
            ResetNow: The fault is a reset; a piece has been written.
        """
        from aiohttp import web

        if self.fault == "not_json":
            return web.Response(text=_PROXY_PAGE, content_type="text/html")
        response = web.StreamResponse(
            headers={
                "x-request-id": self.envelope.id,
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
            }
        )
        await response.prepare(request)
        await response.write(self._event(self.envelope.opening()))
        if first.completion is None:
            await self._write_piece(response, first.text)
            try:
                async for chunk in rest:
                    if chunk.completion is not None:
                        await self._write_end(response, chunk.completion)
                    else:
                        await self._write_piece(response, chunk.text)
            except ModelError as error:
                await response.write(self._event(error_body(error.status or 500, str(error))))
        else:
            await self._write_end(response, first.completion)
        await response.write_eof()
        return response

    async def _write_piece(self, response: web.StreamResponse, text: str) -> None:
        event = self._event(self.envelope.piece(f"é{text}" if self.fault == "wrong_encoding" else text))
        await response.write(event * 2 if self.fault == "duplicate_chunks" else event)
        if self.fault == "hang_in_body":
            await _for_ever()
        if self.fault == "reset":
            raise ResetNow
        if self.fault == "slow_drip":
            await asyncio.sleep(self.drip_s)

    async def _write_end(self, response: web.StreamResponse, completion: Completion) -> None:
        events = self._event(self.envelope.closing(completion))
        if self.wants_usage and completion.usage is not None:
            events += self._event(self.envelope.usage(completion.usage))
        await response.write(events if self.fault == "missing_done" else events + b"data: [DONE]\n\n")

    def _event(self, body: Mapping[str, Any]) -> bytes:
        return b"data: " + self._encoded(body) + b"\n\n"

    def _encoded(self, body: Mapping[str, Any]) -> bytes:
        if self.fault == "wrong_encoding":
            return json.dumps(body, ensure_ascii=False).encode("latin-1", "replace")
        return json.dumps(body, separators=(",", ":")).encode()

    def _misencodable(self, completion: Completion) -> Completion:
        return replace(completion, text=f"é{completion.text}") if self.fault == "wrong_encoding" else completion


def json_response(body: Mapping[str, Any]) -> web.Response:
    """Give *body* with status 200."""
    from aiohttp import web

    return web.json_response(body)


def error_response(
    status: int,
    said: str,
    request_id: str,
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
) -> web.Response:
    """Give an error in OpenAI's form."""
    from aiohttp import web

    headers = {"x-request-id": request_id}
    if retry_after_s is not None:
        headers["Retry-After"] = f"{retry_after_s:g}"
    return web.json_response(error_body(status, said, code), status=status, headers=headers)


def reset(request: web.Request) -> None:
    """Drop the connection as a crashed process does: a RST, not an orderly end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
