"""LiteLLM's own functions and switches, as the recorder needs them."""

from __future__ import annotations

from typing import Optional

import litellm

from honeyhive_litellm._mapping.reading import or_default


class ImportedLiteLLM:
    """The functions of the `litellm` module of this process; what LiteLLM cannot compute is None."""

    def tokens(self, model: Optional[str], prompt: object) -> Optional[int]:
        text_or_messages = {"text": prompt} if isinstance(prompt, str) else {"messages": prompt}

        def count() -> int:
            # With the default count for images: LiteLLM would fetch each image from its URL otherwise.
            return int(litellm.token_counter(model=model or "", use_default_image_token_count=True, **text_or_messages))

        return or_default(None, count)  # it raises if these are not the messages of a chat

    def cost(self, response: object, call_type: str, model: str) -> Optional[float]:
        def amount() -> float:
            return float(litellm.completion_cost(completion_response=response, model=model, call_type=call_type))

        return or_default(None, amount)  # it raises if LiteLLM's price list lacks the model

    def has_price(self, provider: Optional[str], model: Optional[str]) -> bool:
        entries = [litellm.model_cost.get(name) or {} for name in (model, f"{provider}/{model}")]
        return any("cost" in name for entry in entries for name in entry)  # a Router adds entries without a price

    def hides_content(self) -> bool:
        return bool(litellm.turn_off_message_logging)
