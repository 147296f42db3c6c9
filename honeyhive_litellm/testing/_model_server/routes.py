"""The routes of the model server (below `/v1`) and who answers them. A name in braces goes into the body."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

from . import answers, files, media, providers

Answerer = Callable[[Dict[str, Any], int, answers.Shape], answers.Answer]

ROUTES: Dict[Tuple[str, str], Answerer] = {
    ("POST", "/chat/completions"): answers.chat,
    ("POST", "/completions"): answers.completion,
    ("POST", "/embeddings"): answers.embedding,
    ("POST", "/responses"): answers.response,
    ("POST", "/moderations"): media.moderation,
    ("POST", "/images/generations"): media.image,
    ("POST", "/images/edits"): media.image,
    ("POST", "/images/variations"): media.image,
    ("POST", "/audio/transcriptions"): media.transcription,
    ("POST", "/audio/speech"): media.speech,
    ("POST", "/ocr"): media.ocr,
    ("POST", "/messages"): providers.messages,
    ("POST", "/models/{model}:generateContent"): providers.contents,
    ("POST", "/models/{model}:streamGenerateContent"): providers.contents,
    ("POST", "/rerank"): providers.rerank,
    ("POST", "/files"): files.create_file,
    ("GET", "/files"): files.list_files,
    ("GET", "/files/{file_id}"): files.retrieve_file,
    ("DELETE", "/files/{file_id}"): files.delete_file,
    ("GET", "/files/{file_id}/content"): files.file_content,
    ("POST", "/batches"): files.create_batch,
    ("GET", "/batches"): files.list_batches,
    ("GET", "/batches/{batch_id}"): files.retrieve_batch,
    ("POST", "/batches/{batch_id}/cancel"): files.cancel_batch,
    ("POST", "/vector_stores/{vector_store_id}/search"): files.search,
}
