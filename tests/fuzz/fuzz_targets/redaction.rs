#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tower_llm_gateway_fuzz::redaction(input));
