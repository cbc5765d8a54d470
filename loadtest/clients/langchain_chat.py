"""LangChain's ChatOpenAI, unmodified, through Weir. (A script called langchain_openai.py would import itself.)"""

from langchain_openai import ChatOpenAI

from support import MODEL, PROMPT, URL, run

chat = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="test", max_tokens=24, timeout=30, stream_usage=True)


def check(message):
    assert message.content, "the answer is empty"
    assert message.usage_metadata["output_tokens"] > 0, message.usage_metadata


def invoke():
    check(chat.invoke(PROMPT))


def stream():
    pieces = list(chat.stream(PROMPT))
    assert len([piece for piece in pieces if piece.content]) > 3, pieces
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    check(whole)


def batch():
    """Fifty at once."""
    answers = chat.batch([f"{PROMPT} ({number})" for number in range(50)], config={"max_concurrency": 50})
    assert len(answers) == 50
    for answer in answers:
        check(answer)


run(invoke, stream, batch)
