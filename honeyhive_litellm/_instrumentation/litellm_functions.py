"""LiteLLM's own functions and switches, as the recorder needs them."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

import litellm
from litellm.litellm_core_utils import redact_messages

from honeyhive_litellm._mapping.reading import or_default
from honeyhive_litellm._mapping.switches import hides_messages

from .batch_lines import is_ours

_should_redact: Optional[Callable[[Any], object]] = getattr(redact_messages, "should_redact_message_logging", None)


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

    def hides_content(self, call_details: Mapping[str, Any]) -> bool:
        # Details that we made ourselves, as of a Router's request, lack what LiteLLM's function reads.
        if _should_redact is not None and "standard_callback_dynamic_params" in call_details:
            hides = or_default(None, _should_redact, call_details)  # None for details of an unusual form
            if hides is not None:
                return bool(hides)
        return hides_messages(call_details, litellm.turn_off_message_logging is True)

    def reports_batch_lines(self) -> bool:
        return any(map(is_ours, getattr(litellm, "batch_line_item_callbacks", ())))
