"""What all kinds of client send."""

import base64

PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0demo\xff\xd9").decode()

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
# The demo makes its arguments from the schema; quotes and umlauts cross every fragment.
ARGUMENTS = {"city": 'Zürich "Old Town"', "days": 3}

TOOLS = ("get_weather", "get_forecast")
MESSAGES_TOOLS = [
    {"name": name, "description": f"{name}.", "input_schema": SCHEMA} for name in TOOLS
]
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"{name}.", "parameters": SCHEMA}}
    for name in TOOLS
]

LONG_PROMPT = 'fn main() { println!("ä\\n"); }\n' * (2**20 // 32) + " the-very-end"
