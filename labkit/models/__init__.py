"""One completion: the protocol, its clients, and a server that offers any of them over HTTP.

    protocol.py        Client, CompletionRequest, Completion, Chunk
    model.py           Model: which model, and how it is asked
    resolve.py         from a Model to its client
    offline/           the embedded model: no key, no network
    litellm_client.py  every provider litellm knows
    scripted.py        for tests: says what it is told
    faults.py          what goes wrong, drawn from a seed
    server.py          any client over HTTP, with faults on demand
    prices.py          what a completion cost

May import ``labkit.errors``. Nothing here knows prompts, schemas of inputs, retries or deadlines.
"""
