//! Responses' `previous_response_id` and `store`, kept by the gateway.
