"""How many tokens something is, where the provider does not say."""

from __future__ import annotations

from labkit.models.media import Image
from labkit.models.protocol import CompletionRequest, Usage

__all__ = ["estimated_usage"]

_CHARS_A_TOKEN = 4  # the rule of thumb OpenAI gives for English; other languages and code take more tokens
_TOKENS_AN_IMAGE = 765  # what OpenAI counts for one of 1,024 by 1,024 pixels in detail


def estimated_usage(request: CompletionRequest, text: str) -> Usage:
    """Estimate the usage of a completion of *request* that said *text*, marked as estimated."""
    prompt_chars = sum(len(message.content) for message in request.messages)
    media = [medium for message in request.messages for _, medium in message.media]
    prompt_chars += sum(medium.size or 0 for medium in media if not isinstance(medium, Image))
    images = sum(isinstance(medium, Image) for medium in media)
    return Usage(
        prompt_tokens=-(-prompt_chars // _CHARS_A_TOKEN) + images * _TOKENS_AN_IMAGE,
        completion_tokens=-(-len(text) // _CHARS_A_TOKEN),
        estimated=True,
    )
