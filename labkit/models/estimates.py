"""How many tokens something is, where the provider does not say."""

from __future__ import annotations

from labkit.models.protocol import CompletionRequest, Usage

__all__ = ["estimated_usage"]

_CHARS_A_TOKEN = 4  # the rule of thumb OpenAI gives for English; other languages and code take more tokens


def estimated_usage(request: CompletionRequest, text: str) -> Usage:
    """Estimate the usage of a completion of *request* that said *text*, marked as estimated."""
    prompt_chars = sum(len(message.content) for message in request.messages)
    return Usage(
        prompt_tokens=-(-prompt_chars // _CHARS_A_TOKEN),
        completion_tokens=-(-len(text) // _CHARS_A_TOKEN),
        estimated=True,
    )
