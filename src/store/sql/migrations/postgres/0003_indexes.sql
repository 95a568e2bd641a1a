-- The log is read by time, by who called, by key and by channel, and forgotten by time.
CREATE INDEX gateway_requests_time ON gateway_requests (time);
CREATE INDEX gateway_requests_principal ON gateway_requests (principal, time);
CREATE INDEX gateway_requests_request_id ON gateway_requests (request_id);
CREATE INDEX gateway_attempts_time ON gateway_attempts (time);
CREATE INDEX gateway_attempts_key_id ON gateway_attempts (key_id, time);
CREATE INDEX gateway_attempts_channel ON gateway_attempts (channel, time);
CREATE INDEX gateway_attempts_request_id ON gateway_attempts (request_id);
