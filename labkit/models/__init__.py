"""One completion: the question, the answer, and everything that can give one.

    protocol.py         what a completion is; Client, the seam of two methods and a name
    model.py            Model: which model to ask, and how
    resolve.py          from a Model to the client that speaks to it
    offline/            the embedded model: no key, no network
    direct.py           OpenAI's format over aiohttp: whose key, which address. exchange.py asks and reads,
                        request_body.py says what is sent, ways.py what each server takes, http_session.py keeps the
                        connections, proxies.py finds the way
    chat_response.py    what a server says: event_stream.py cuts a stream, message_parts.py takes a message apart,
                        chat_errors.py knows errors, endings.py why an answer ended, usage_reports.py its tokens,
                        surrogates.py joins halves of characters
    litellm_client.py   every other provider; the only file that knows litellm
    scripted.py         a model for tests
    schema_wire.py      how a JSON Schema travels to a provider
    provider_errors.py  what a provider's HTTP status means
    prices.py           what a completion costs; estimates.py counts tokens that nobody reported
    faults.py           what goes wrong on purpose, also in process; spoiling.py makes an answer worse
    server.py           any client over HTTP with the same faults; openai_format.py has its bodies, faulty_wire.py
                        writes them

May import ``labkit.errors``. Nothing here retries, times out, reads an answer as JSON, or knows what a guarded call is:
that is ``labkit.call``. aiohttp is imported by the first call that needs it, litellm when its client is made.
"""

from labkit.models.model import Model, Price
from labkit.models.protocol import Chunk, Client, Completion, CompletionRequest, Message, Sampling, Usage
from labkit.models.resolve import client_for
from labkit.models.scripted import ScriptedModel

__all__ = [
    "Chunk",
    "Client",
    "Completion",
    "CompletionRequest",
    "Message",
    "Model",
    "Price",
    "Sampling",
    "ScriptedModel",
    "Usage",
    "client_for",
]
