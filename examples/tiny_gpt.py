"""A small GPT that reads Python's own documentation, or a text of yours, and then writes on.

python examples/tiny_gpt.py
"""

from __future__ import annotations

import argparse
from pydoc_data.topics import topics

import fastnn
from fastnn import text

parser = argparse.ArgumentParser(description="Train a GPT on a text, character by character.")
parser.add_argument("--text", help="a file in UTF-8 (default: Python's documentation)")
parser.add_argument("--steps", type=int, default=1500)
parser.add_argument("--prompt", default="The ")
parser.add_argument("--length", type=int, default=300)
arguments = parser.parse_args()

fastnn.set_seed(0)
content = text.read_text(arguments.text) if arguments.text else "\n".join(topics[name] for name in sorted(topics))
tokenizer = text.CharacterTokenizer.from_text(content)
tokens = tokenizer.encode(content)
held_out = len(tokens) // 20
train, validation = tokens[:-held_out], tokens[-held_out:]

context = 64
model = fastnn.models.GPT(fastnn.models.GPTConfig(tokenizer.size, context, layers=2, heads=4, width=96))
model.compile(
    fastnn.optimizers.AdamW(fastnn.schedules.CosineDecay(3e-3, decay_steps=arguments.steps), global_clipnorm=1.0),
    loss=fastnn.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[fastnn.metrics.Perplexity(from_logits=True)],
)
# Windows from anywhere in the text, each with the characters that follow: one character later.
windows = text.RandomWindows(train, context, batch_size=16)
model.fit(windows, steps_per_epoch=arguments.steps)

loss, perplexity = model.evaluate(text.Windows(validation, context))
print(f"perplexity: {perplexity:.2f} (of {tokenizer.size} characters)")

# A character is drawn among the probable ones, then the model reads it, and so on.
print(arguments.prompt, end="")
for token in model.stream(tokenizer.encode(arguments.prompt), arguments.length, temperature=0.8, top_p=0.95, seed=0):
    print(tokenizer.decode([token]), end="", flush=True)
print()
