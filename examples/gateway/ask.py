"""Ask a server of OpenAI's API with OpenAI's own package: ``python ask.py http://HOST:PORT/v1``.

Nothing in here knows of Quatrefoil: what answers may be the upstream itself, or ``quatrefoil proxy``.
"""

from __future__ import annotations

import sys
import time

import openai

QUESTIONS = ("how is bed 7?", "what is the pulse of bed 3?", "who is in bed 2?")
PATIENCE_S = 20


def main() -> None:
    with openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0) as client:
        model = first_model(client)
        for question in QUESTIONS:
            asked = [{"role": "user", "content": question}]
            stream = client.chat.completions.create(model=model, messages=asked, temperature=0, stream=True)
            print(question, "", end="")
            for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
            print()


def first_model(client: openai.OpenAI) -> str:
    """The model that is served, once the server is there."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.models.list().data[0].id
        except openai.APIConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
