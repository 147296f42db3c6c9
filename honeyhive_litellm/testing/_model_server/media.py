"""Answers with images, sound and pages: base64 and bytes of fixed, valid files, so that tests know their digests."""

from __future__ import annotations

import base64
import struct
import time
import zlib
from typing import Any, Dict, List

from .answers import Answer, Shape, texts_of, usage_of

Json = Dict[str, Any]

SAMPLE_RATE = 8000


def png(side: int) -> bytes:
    """A grey square of that many pixels a side, as a PNG file that is not compressed."""
    rows = (b"\x00" + b"\x80" * side) * side
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(data)) + kind + data + _crc(kind + data) for kind, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def wav(seconds: float) -> bytes:
    """Silence of that length, as a WAV file."""
    data = b"\x00\x00" * int(SAMPLE_RATE * seconds)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data


def image(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/images/generations` and `/images/edits`: `n` pictures, as URLs if asked for, else in base64."""
    count = int(body.get("n") or 1)
    if body.get("response_format") == "url":
        data: List[Json] = [{"url": f"https://images.example/{number}-{index}.png"} for index in range(count)]
    else:
        data = [{"b64_json": base64.b64encode(png(64 + shape.length // 1024)).decode()} for _ in range(count)]
    answer: Json = {"created": int(time.time()), "data": data}
    if shape.usage and "gpt-image" in str(body.get("model")):
        usage = usage_of(str(body.get("prompt")), " " * 400 * count, shape)
        answer["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
            "input_tokens_details": {"text_tokens": usage["prompt_tokens"], "image_tokens": 0},
        }
    return Answer(answer)


def transcription(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/audio/transcriptions`: tells how many bytes the file had."""
    file = body.get("file") or {}
    text = f"heard {file.get('bytes', 0)} bytes of {file.get('filename')}"
    if body.get("response_format") == "verbose_json":
        return Answer({"task": "transcribe", "language": "english", "duration": 0.5, "text": text, "segments": []})
    return Answer({"text": text})


def speech(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/audio/speech`: a tenth of a second of silence."""
    return Answer({}, data=wav(0.1 + shape.length / 1024), content_type="audio/wav")


def ocr(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/ocr`, in Mistral's form: two pages, the first with a picture in base64."""
    picture = "data:image/png;base64," + base64.b64encode(png(64)).decode()
    document = body.get("document") or {}
    name = str(document.get("document_url") or document.get("image_url") or "")[:60]
    size = {"dpi": 200, "height": 2200, "width": 1700}
    pages = [
        {
            "index": index,
            "markdown": f"# page {index} of {name}",
            "images": [{"id": "img-0.png", "image_base64": picture}] if index == 0 else [],
            "dimensions": size,
        }
        for index in range(2)
    ]
    return Answer({"pages": pages, "model": body.get("model"), "usage_info": {"pages_processed": 2}})


def moderation(body: Json, number: int, shape: Shape) -> Answer:
    """Answer `/moderations`: what has "violent" in it is flagged."""
    results = []
    for text in texts_of(body.get("input")):
        is_bad = "violent" in text
        results.append(
            {
                "flagged": is_bad,
                "categories": {"violence": is_bad},
                "category_scores": {"violence": 0.9 if is_bad else 0.0},
                "category_applied_input_types": {"violence": ["text"]},
            }
        )
    return Answer({"id": f"modr-{number:06d}", "model": body.get("model"), "results": results})


def _crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
