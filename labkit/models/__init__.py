"""One completion: the question, the answer, and everything that can give one.

    protocol.py         what a completion is; Client, the seam of two methods and a name
    model.py            Model: which model to ask, and how
    resolve.py          from a Model to the client that speaks to it
    offline/            the embedded model: no key, no network
    direct.py           OpenAI's chat-completions format over aiohttp
    litellm_client.py   every other provider; the only file that knows litellm
    scripted.py         a model for tests
    schema_wire.py      how a JSON Schema travels to a provider
    provider_errors.py  what a provider's HTTP status means
    prices.py           what a completion costs
    faults.py           what goes wrong on purpose, in process
    server.py           any client as an OpenAI-compatible HTTP server, with the same faults

May import ``labkit.errors``. Nothing here retries, times out, reads an answer as JSON, or knows what a guarded call is:
that is ``labkit.call``. aiohttp and litellm are imported by the first call that needs them.
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
