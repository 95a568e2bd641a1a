"""What a conversation is made of, in no protocol's words."""

import dataclasses
import typing

# Far above what the demo says, and above what it may think.
MAX_TOKENS = 8192
# Seconds. Whoever waits this long has found a stream that never ends.
TIMEOUT = 20


@dataclasses.dataclass
class Image:
    kind: str
    data: str

    @property
    def url(self) -> str:
        return f"data:{self.kind};base64,{self.data}"


@dataclasses.dataclass
class Call:
    id: str | None
    name: str
    arguments: dict


@dataclasses.dataclass
class Reply:
    text: str
    thought: str
    calls: list[Call]
    stop: str  # end, length, tools: in this module's words
    input_tokens: int
    output_tokens: int
    turn: typing.Any  # what is played back


@dataclasses.dataclass
class Results:
    calls: list[Call]
    texts: list[str]
