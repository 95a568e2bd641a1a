use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{Classifier, Classify, Evidence};
use crate::error::{Phase, TransportKind};
use crate::protocol::Protocol::{self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use crate::protocol::model::FaultKind::{self, *};
use crate::protocol::model::{Fault, FaultOrigin};

fn answer(
    classifier: Classifier,
    protocol: Option<Protocol>,
    status: u16,
    body: &str,
) -> Option<Fault> {
    classifier.classify(&Evidence::Answer {
        protocol,
        status: StatusCode::from_u16(status).unwrap(),
        headers: &HeaderMap::new(),
        body: Some(body.as_bytes()),
    })
}

fn message(text: &str) -> String {
    serde_json::json!({"error": {"message": text}}).to_string()
}

/// Moves on, and is a matter of quota.
fn verdict(fault: Option<Fault>) -> (bool, bool) {
    fault.map_or((false, false), |fault| (fault.moves_on, fault.kind.is_quota()))
}

#[test]
fn v9() {
    let empty = String::new;
    let sensitive = || r#"{"error":{"code":"sensitive_words_detected","message":"m"}}"#.to_owned();
    const T: bool = true;
    const F: bool = false;
    let rows = [
        (F, 401, empty(), (T, F)),
        (F, 402, empty(), (T, T)),
        (F, 403, empty(), (T, F)),
        (F, 403, message("用户预扣费额度失败"), (T, T)),
        (F, 408, empty(), (T, F)),
        (F, 429, empty(), (T, T)),
        (F, 400, message("Quota exceeded"), (T, T)),
        (F, 400, message("Invalid API key"), (T, F)),
        (F, 400, message("Bad request"), (F, F)),
        (F, 404, empty(), (F, F)),
        (F, 422, empty(), (F, F)),
        (F, 413, empty(), (F, F)),
        (F, 500, empty(), (T, F)),
        (F, 502, empty(), (T, F)),
        (F, 503, empty(), (T, F)),
        (F, 504, empty(), (T, F)),
        (F, 529, empty(), (T, F)),
        (F, 599, empty(), (T, F)),
        (F, 500, sensitive(), (F, F)),
        (T, 500, sensitive(), (F, F)),
        (T, 301, empty(), (T, F)),
        (T, 400, empty(), (T, F)),
        (T, 404, empty(), (T, F)),
        (T, 422, empty(), (T, F)),
        (T, 500, message("Quota exceeded"), (T, T)),
        (F, 301, empty(), (F, F)),
        (F, 200, message("Quota exceeded"), (F, F)),
        (T, 200, message("Quota exceeded"), (F, F)),
        (T, 204, empty(), (F, F)),
        (F, 400, "Quota exceeded".to_owned(), (F, F)),
        (F, 400, "<html>Invalid API key</html>".to_owned(), (F, F)),
    ];
    for (fuzzy, status, body, expected) in rows {
        for protocol in [None].into_iter().chain(Protocol::ALL.map(Some)) {
            let fault = answer(Classifier::new().fuzzy(fuzzy), protocol, status, &body);
            assert_eq!(verdict(fault), expected, "{protocol:?} fuzzy {fuzzy}: {status} {body}");
        }
    }
}

#[test]
fn statuses_that_blame_the_request_never_move_on() {
    for status in (404..=417).chain(418..=428).chain([431, 451]).filter(|status| *status != 408) {
        for body in ["", &message("Quota exceeded"), &message("Invalid API key")] {
            let fault = answer(Classifier::new(), None, status, body).unwrap();
            assert!(!fault.moves_on, "{status} {body}");
            let fault = answer(Classifier::new().fuzzy(true), None, status, body).unwrap();
            assert!(fault.moves_on, "fuzzy {status} {body}");
        }
    }
}

#[test]
fn codes_that_are_final() {
    let codes = [
        ("sensitive_words_detected", ContentPolicy),
        ("content_policy_violation", ContentPolicy),
        ("Content_Filter", ContentPolicy),
        ("content_blocked", ContentPolicy),
        ("moderation_blocked", ContentPolicy),
        ("invalid_request", BadRequest),
        ("INVALID_REQUEST_ERROR", BadRequest),
        ("bad_request", BadRequest),
    ];
    for (code, kind) in codes {
        for status in [400, 401, 403, 429, 500, 503] {
            for fuzzy in [false, true] {
                let body = serde_json::json!({"error": {"code": code, "message": "quota"}});
                let classifier = Classifier::new().fuzzy(fuzzy);
                let fault = answer(classifier, Some(OpenAiChat), status, &body.to_string());
                let fault = fault.unwrap();
                assert_eq!((fault.kind, fault.moves_on), (kind, false), "{status} {code}");
            }
        }
    }
}

#[test]
fn messages_of_a_400() {
    let rows: [(FaultKind, &[&str]); 9] = [
        (
            RateLimit,
            &[
                "Rate limit reached",
                "Too many requests",
                "limit of 5 requests per minute",
                "超过请求数限制",
            ],
        ),
        (
            Billing,
            &[
                "insufficient balance",
                "Insufficient credits",
                "Your credit is used up",
                "Your account balance is 0",
                "Limit exceeded",
                "Monthly usage exceeded",
                "Billing is not active",
                "payment required",
                "subscription expired",
                "积分不足",
                "余额不足",
                "用户额度不足",
                "预扣费失败",
            ],
        ),
        (
            Auth,
            &[
                "Invalid API key",
                "apikey is wrong",
                "Unauthorized",
                "Authentication failed",
                "The token expired",
                "invalid token",
                "无效的令牌: invalid",
                "Your key has expired",
                "密钥无效",
                "认证失败",
            ],
        ),
        (
            Permission,
            &[
                "You have no permission to use this model",
                "insufficient permissions",
                "Forbidden",
                "Access denied",
                "权限不足",
            ],
        ),
        (Timeout, &["request timeout", "upstream timed out", "请求超时"]),
        (
            Overloaded,
            &["temporarily out of service", "overloaded", "model unavailable", "服务暂时不可用"],
        ),
        (
            Upstream,
            &["Server error", "Internal error", "please retry", "Try again later", "请稍后重试"],
        ),
        (ContextTooLong, &["This model's maximum context length is 8192 tokens, limit exceeded"]),
        (
            BadRequest,
            &[
                "Bad request",
                "Invalid request",
                "Invalid 'messages': empty array. Expected an array with minimum length 1",
                "Invalid JSON: unexpected token < at 1",
                "max_tokens: 9 exceeded the maximum token limit of the model",
                "Role must be user or assistant and Content length must be greater than 0",
                "The image URL has expired, access denied",
                "Authentication error while communicating with MCP server. Please check your token",
                "messages.0.content.1: unauthorized block",
                "tools.0.custom.name: 'credit balance'",
                "Invalid function name get_balance",
                "extra_forbidden: Extra inputs are forbidden",
                "Please modify your prompt and please retry",
                "Unsupported file, please try again with a pdf",
                "number of images exceeded",
                "请修改后重试",
            ],
        ),
    ];
    for (kind, texts) in rows {
        for text in texts {
            let fault = answer(Classifier::new(), Some(OpenAiChat), 400, &message(text)).unwrap();
            assert_eq!((fault.kind, fault.moves_on), (kind, kind.moves_on()), "{text}");
        }
    }
}

#[test]
fn what_a_message_quotes_blames_nobody() {
    let rows = [
        r#"Invalid JSON payload received. Unknown name "quota": Cannot find field."#,
        "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[payment].items: missing field.",
        "1 validation error for Request\nmessages\n  Input should be a list [type=list_type, input_value='my api key, quota', input_type=str]",
        "Bad value (input='pay [the] bill: quota exceeded, unauthorized",
        "[{'type': 'missing', 'loc': ('body', 'n'), 'input': {'prompt': 'invalid api key'}}]",
        "Unknown parameter: `billing`. It's not supported, isn't it?",
        "Unsupported value “credit balance”",
        r#"Unexpected "say \"quota\" now" in the text"#,
        "Unterminated string: \"rate limit and quota",
        "不支持「额度」",
    ];
    for text in rows {
        for status in [400, 500] {
            let fault = answer(Classifier::new(), Some(Gemini), status, &message(text)).unwrap();
            assert_eq!(fault.kind, FaultKind::from_status(fault.status), "{status} {text}");
            assert!(!fault.guessed);
        }
    }
    for text in ["The 'free' plan's quota is used up", "Your project's quota isn't enough [429]"] {
        let fault = answer(Classifier::new(), None, 400, &message(text)).unwrap();
        assert_eq!(fault.kind, Billing, "{text}");
    }
}

#[test]
fn a_kind_that_only_the_message_tells_is_a_guess() {
    let rows = [
        (400, message("Quota exceeded"), Billing, true),
        (500, message("Quota exceeded"), Billing, true),
        (400, message("Invalid API key"), Auth, true),
        (403, message("user quota is not enough"), Billing, false),
        (429, message("Quota exceeded"), RateLimit, false),
        (401, message("quota"), Billing, false),
        (400, r#"{"error":{"type":"billing","message":"quota"}}"#.to_owned(), Billing, false),
        (400, r#"{"error":{"code":"invalid_api_key","message":"m"}}"#.to_owned(), Auth, false),
        (400, message("Bad request"), BadRequest, false),
    ];
    for (status, body, kind, guessed) in rows {
        let fault = answer(Classifier::new(), Some(OpenAiChat), status, &body).unwrap();
        assert_eq!((fault.kind, fault.guessed), (kind, guessed), "{status} {body}");
    }
    let arrears = r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#;
    assert!(!answer(Classifier::new(), Some(DashScope), 400, arrears).unwrap().guessed);
}

#[test]
fn every_field_is_tried() {
    let rows = [
        (r#"{"error":{"message":"quota"}}"#, Billing),
        (r#"{"error":{"upstream_error":"quota"}}"#, Billing),
        (r#"{"error":{"upstream_error":{"message":"quota"}}}"#, Billing),
        (r#"{"error":{"detail":"quota"}}"#, Billing),
        (r#"{"error":{"type":"over_quota"}}"#, Billing),
        (r#"{"error":{"type":"quota_exceeded"}}"#, Billing),
        (r#"{"error":{"type":"rate_limit"}}"#, RateLimit),
        (r#"{"error":{"type":"billing"}}"#, Billing),
        (r#"{"error":{"type":"insufficient_funds"}}"#, Billing),
        (r#"{"error":{"type":"payment_failed"}}"#, Billing),
        (r#"{"error":{"type":"authentication"}}"#, Auth),
        (r#"{"error":{"type":"authorization"}}"#, Auth),
        (r#"{"error":{"type":"permission"}}"#, Permission),
        (r#"{"error":{"type":"invalid_token"}}"#, Auth),
        (r#"{"error":{"type":"expired"}}"#, Auth),
        (r#"{"error":{"type":"server_error"}}"#, Upstream),
        (r#"{"error":{"type":"internal_error"}}"#, Upstream),
        (r#"{"error":{"type":"service_unavailable"}}"#, Overloaded),
        (r#"{"error":{"type":"overloaded"}}"#, Overloaded),
        (r#"{"error":{"type":"request_timeout"}}"#, Timeout),
        (r#"{"error":"quota"}"#, Billing),
        (r#"{"detail":"quota"}"#, Billing),
        (r#"[{"error":{"message":"quota"}}]"#, Billing),
        (
            r#"{"error":{"message":"quota","type":"invalid_request_error","param":"tools"}}"#,
            BadRequest,
        ),
        (r#"{"error":{}}"#, BadRequest),
        ("{}", BadRequest),
        ("[]", BadRequest),
        ("", BadRequest),
        (r#"{"error":{"message":"quota"#, BadRequest),
    ];
    for (body, kind) in rows {
        let fault = answer(Classifier::new(), None, 400, body).unwrap();
        assert_eq!(fault.kind, kind, "{body}");
    }
}

/// As vendors send them.
#[test]
fn real_answers() {
    let rows = [
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium."}}"#,
            BadRequest,
            false,
        ),
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
            Billing,
            true,
        ),
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ContextTooLong,
            false,
        ),
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
            Auth,
            true,
        ),
        (
            Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
            ContentPolicy,
            false,
        ),
        (
            Anthropic,
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            Auth,
            true,
        ),
        (
            Anthropic,
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#,
            NotFound,
            false,
        ),
        (
            Anthropic,
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"m"}}"#,
            TooLarge,
            false,
        ),
        (
            Anthropic,
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"}}"#,
            Upstream,
            true,
        ),
        (
            Anthropic,
            529,
            r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            true,
        ),
        (
            OpenAiChat,
            400,
            r#"{"error":{"code":"empty_array","message":"Invalid 'messages': empty array.","param":"messages","type":"invalid_request_error"}}"#,
            BadRequest,
            false,
        ),
        (
            OpenAiChat,
            400,
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
            ContentPolicy,
            false,
        ),
        (
            OpenAiChat,
            403,
            r#"{"error":{"message":"Project `p` does not have access to model `m`","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            Permission,
            true,
        ),
        (
            OpenAiChat,
            429,
            r#"{"error":{"code":"RateLimitReached","message":"Your requests have exceeded rate limit."}}"#,
            RateLimit,
            true,
        ),
        (
            OpenAiChat,
            503,
            r#"{"error":{"message":"no capacity","type":"server_error","code":"server_is_overloaded"}}"#,
            Overloaded,
            true,
        ),
        (
            OpenAiChat,
            500,
            r#"{"error":{"message":"insufficient capacity","type":"server_error"}}"#,
            Upstream,
            true,
        ),
        (
            OpenAiChat,
            403,
            r#"{"error":{"message":"user quota is not enough","type":"new_api_error","code":"insufficient_user_quota"}}"#,
            Billing,
            true,
        ),
        (
            OpenAiResponses,
            400,
            r#"{"error":{"code":"unsupported_file","message":"The file type you uploaded is not supported. Please try again with a pdf","param":"input","type":"invalid_request_error"}}"#,
            BadRequest,
            false,
        ),
        (
            OpenAiResponses,
            400,
            r#"{"error":{"code":"model_not_found","message":"The requested model 'x' does not exist.","param":"model","type":"invalid_request_error"}}"#,
            NotFound,
            false,
        ),
        (
            OpenAiResponses,
            401,
            r#"{"error":{"message":"Incorrect API key provided: x.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Auth,
            true,
        ),
        (
            OpenAiResponses,
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Billing,
            true,
        ),
        (
            Gemini,
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            Auth,
            true,
        ),
        (
            Gemini,
            400,
            r#"{"error":{"code":400,"message":"Cannot fetch content from the provided URL. Status: URL_ROBOTED-ROBOTED_DENIED","status":"INVALID_ARGUMENT"}}"#,
            BadRequest,
            false,
        ),
        (
            Gemini,
            404,
            r#"{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}"#,
            NotFound,
            false,
        ),
        (
            Gemini,
            503,
            r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#,
            Overloaded,
            true,
        ),
        (
            DashScope,
            400,
            r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#,
            Billing,
            true,
        ),
        (
            DashScope,
            400,
            r#"{"code":"InvalidParameter","message":"Role must be user or assistant and Content length must be greater than 0","request_id":"r"}"#,
            BadRequest,
            false,
        ),
        (
            DashScope,
            400,
            r#"{"code":"DataInspectionFailed","message":"Input data may contain inappropriate content.","request_id":"r"}"#,
            ContentPolicy,
            false,
        ),
        (
            DashScope,
            401,
            r#"{"code":"InvalidApiKey","message":"Invalid API-key provided.","request_id":"r"}"#,
            Auth,
            true,
        ),
        (
            DashScope,
            400,
            "id:1\nevent:error\n:HTTP_STATUS/400\ndata:{\"code\":\"Throttling.RateQuota\",\"message\":\"m\"}\n\n",
            RateLimit,
            true,
        ),
        (
            DashScope,
            500,
            r#"{"code":"InternalError.Algo","message":"DataInspectionFailed: Output data"}"#,
            ContentPolicy,
            false,
        ),
    ];
    for (protocol, status, body, kind, moves_on) in rows {
        let fault = answer(Classifier::new(), Some(protocol), status, body).unwrap();
        assert_eq!((fault.kind, fault.moves_on), (kind, moves_on), "{status} {body}");
        assert_eq!((fault.status.as_u16(), fault.origin), (status, FaultOrigin::Upstream));
    }
}

#[test]
fn errors_in_band() {
    let rows = [
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            true,
        ),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"error","message":"test error"}}"#,
            Upstream,
            true,
        ),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"bad tool"}}"#,
            BadRequest,
            false,
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"You can retry your request","type":"server_error","param":null,"code":null}}"#,
            Upstream,
            true,
        ),
        (
            OpenAiChat,
            r#"{"id":"g","choices":[],"error":{"code":502,"message":"Provider failed"}}"#,
            Upstream,
            true,
        ),
        (OpenAiChat, r#"{"error":{"code":429,"message":"m"}}"#, RateLimit, true),
        (
            OpenAiChat,
            r#"{"error":{"message":"filtered","code":"content_filter"}}"#,
            ContentPolicy,
            false,
        ),
        (
            OpenAiResponses,
            r#"{"type":"error","sequence_number":1,"code":"rate_limit_exceeded","message":"Rate limit reached","param":null}"#,
            RateLimit,
            true,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"m"}}}"#,
            Upstream,
            true,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"insufficient_quota","message":"m"}}}"#,
            Billing,
            true,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"context_length_exceeded","message":"m"}}}"#,
            ContextTooLong,
            false,
        ),
        (
            Gemini,
            r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#,
            Overloaded,
            true,
        ),
        (Gemini, r#"{"error":{"code":500,"message":"m"}}"#, Upstream, true),
        (
            DashScope,
            r#"{"code":"InvalidParameter","message":"Role must be user","request_id":"r"}"#,
            BadRequest,
            false,
        ),
        (DashScope, r#"{"code":"Throttling","message":"m","request_id":"r"}"#, RateLimit, true),
        (DashScope, "nonsense", Upstream, true),
    ];
    for (protocol, data, kind, moves_on) in rows {
        let evidence = Evidence::InBand { protocol: Some(protocol), data: data.as_bytes() };
        let fault = Classifier::new().classify(&evidence).unwrap();
        assert_eq!((fault.kind, fault.moves_on), (kind, moves_on), "{data}");
        assert_eq!((fault.status, fault.origin), (kind.status(), FaultOrigin::Upstream));
    }
}

#[test]
fn without_an_answer() {
    let classify = |evidence: &Evidence<'_>| {
        let fault = Classifier::new().classify(evidence).unwrap();
        (fault.kind, fault.origin, fault.moves_on)
    };
    let timeout = Evidence::Transport(TransportKind::Timeout(Phase::Idle));
    assert_eq!(classify(&timeout), (Timeout, FaultOrigin::Transport, true));
    let refused = Evidence::Transport(TransportKind::Connect);
    assert_eq!(classify(&refused), (Transport, FaultOrigin::Transport, true));
    let upload = Evidence::Transport(TransportKind::RequestBody);
    assert_eq!(classify(&upload), (BadRequest, FaultOrigin::Gateway, false));
    assert_eq!(classify(&Evidence::Truncated), (Upstream, FaultOrigin::Upstream, true));
    assert_eq!(classify(&Evidence::ClientLeft), (ClientCancel, FaultOrigin::Gateway, false));
}

#[test]
fn the_longer_wait_counts() {
    let body = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED",
        "details":[{"retryDelay":"34.5s"}]}}"#;
    for (header, millis) in [("1", 34_500), ("60", 60_000)] {
        let headers =
            HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static(header))]);
        let fault = Classifier::new().classify(&Evidence::Answer {
            protocol: Some(Gemini),
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: &headers,
            body: Some(body.as_bytes()),
        });
        assert_eq!(fault.unwrap().retry_after.unwrap().as_millis(), millis);
    }
}

#[test]
fn a_fault_that_was_left_wins() {
    let mut response = Response::builder().status(500).body(()).unwrap();
    assert_eq!(Fault::of_response(&response).unwrap().kind, Upstream);
    response.extensions_mut().insert(Fault::gateway(RateLimit));
    assert_eq!(Fault::of_response(&response).unwrap().kind, RateLimit);
    assert_eq!(Fault::of_response(&Response::new(())), None);
}
