"""One face for the official SDKs, so that one test can be asked of every pair of protocols.

A conversation is a list: what the user says (`str`, or a list of `str` and `Image`), what was
answered (`Reply`), and the results of its calls (`Results`). Whatever the SDK gave as an answer is
played back as it was, as the vendors tell their users to do.
"""

from callers.conversation import Call, Image, Reply, Results
from callers.dashscope import DashScope
from callers.gemini import Gemini
from callers.messages import Messages
from callers.openai import Chat, Responses

CALLERS = {caller.protocol: caller for caller in (Messages, Chat, Responses, Gemini, DashScope)}

__all__ = ["CALLERS", "Call", "Image", "Reply", "Results"]
