use serde_json::Value;

use super::{Conversation, Essence, list, openai_chat, text};

pub(super) fn answer(value: &Value) -> Essence {
    let output = &value["output"];
    let choice = &output["choices"][0];
    let mut essence = openai_chat::message_of(&choice["message"]);
    essence.text.push_str(text(&output["text"]));
    let finish = if choice.is_object() { choice } else { output };
    essence.stop = match text(&finish["finish_reason"]) {
        "length" => "length",
        "content_filter" => "filter",
        "tool_calls" => "tool",
        _ => "end",
    };
    let usage = &value["usage"];
    essence.input_tokens = usage["input_tokens"].as_u64();
    essence.output_tokens = usage["output_tokens"].as_u64();
    essence
}

pub(super) fn conversation(value: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    let (input, parameters) = (&value["input"], &value["parameters"]);
    for turn in list(&input["history"]) {
        conversation.say("user", text(&turn["user"]));
        conversation.say("assistant", text(&turn["bot"]));
    }
    list(&input["messages"]).for_each(|message| openai_chat::say(message, &mut conversation));
    conversation.say("user", text(&input["prompt"]));
    for tool in list(&parameters["tools"]) {
        conversation.tools.push(text(&tool["function"]["name"]).to_owned());
    }
    conversation.choice = openai_chat::choice(&parameters["tool_choice"]);
    conversation
}
