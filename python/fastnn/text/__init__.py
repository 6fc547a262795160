"""Text as a model reads it: tokenizers, files of tokens larger than memory, windows of them for `fit`.

tokenizer = fastnn.text.CharacterTokenizer.from_text(text)
fastnn.text.write_tokens("corpus.npy", tokenizer.encode(text))
tokens = fastnn.text.open_tokens("corpus.npy")
model.fit(fastnn.text.RandomWindows(tokens, context=64, batch_size=12), steps_per_epoch=1000)
"""

from fastnn.text.tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    HuggingFaceTokenizer,
    Tokenizer,
    load_tokenizer,
    read_text,
)
from fastnn.text.tokens import RandomWindows, Windows, open_tokens, write_tokens

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "HuggingFaceTokenizer",
    "RandomWindows",
    "Tokenizer",
    "Windows",
    "load_tokenizer",
    "open_tokens",
    "read_text",
    "write_tokens",
]
