//! The request log: the same rows in, the same pages out, wherever they are kept.

use std::borrow::Cow;
use std::sync::Arc;

use tower_llm_gateway::store::{
    AttemptRow, BodyText, DEFAULT_PAGE, LogBatch, LogQuery, MAX_PAGE, MemoryRequestLog,
    RequestLogStore, RequestRow,
};

use crate::place::Place;

/// Each test three times.
macro_rules! in_every_store {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::MemoryRequestLog::max_rows(5000)).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Place::sqlite().store().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(place) = super::Place::postgres().await {
                    super::$test(&place.store().await).await;
                }
            })+
        }
    };
}

in_every_store!(
    rows_come_back_whole,
    what_is_chosen_and_in_which_order,
    pages_are_bounded,
    calls_are_requests_whatever_their_ids,
    ids_of_callers_join_nothing,
    what_comes_again_is_left_out,
    the_oldest_are_forgotten_step_by_step,
    large_batches_arrive,
    texts_are_no_statements,
    answers_are_those_of_memory,
);

async fn write(store: &dyn RequestLogStore, requests: Vec<RequestRow>, attempts: Vec<AttemptRow>) {
    store.append(Arc::new(LogBatch { requests, attempts })).await.unwrap();
}

/// A request that its caller calls `id`.
fn request(id: &str, time: u64) -> RequestRow {
    let mut row = RequestRow::default();
    (row.uid, row.request_id, row.time) = (format!("uid-{id}-{time}"), id.to_owned(), time);
    row
}

/// An attempt of `request(id, of)`.
fn attempt(id: &str, of: u64) -> AttemptRow {
    let mut row = AttemptRow::default();
    (row.uid, row.request_id, row.time) = (format!("uid-{id}-{of}"), id.to_owned(), of);
    row
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn full_request() -> RequestRow {
    let mut row = request("r-1", 1_700_000_000_123);
    row.principal = text("команда");
    row.method = "POST".into();
    row.path = "/v1/messages".into();
    row.client_protocol = Some("anthropic".into());
    row.operation = Some("generate".into());
    row.model = text("claude");
    row.status = Some(200);
    row.success = true;
    row.fault = Some("upstream".into());
    row.end = "whole".into();
    row.attempts = 3;
    (row.headers_ms, row.first_event_ms, row.total_ms) = (Some(1), Some(2), 3);
    (row.bytes_in, row.bytes_out) = (u64::from(u32::MAX) + 1, i64::MAX as u64);
    (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens) = (Some(4), Some(0), Some(6));
    (row.output_tokens, row.reasoning_tokens) = (Some(7), Some(8));
    row.cost_nanos = Some(9_000_000_000_000);
    row.error = text("it's \"odd\"\n");
    row.request_body = Some(BodyText("{\"a\":\"\u{1F600}\"}".into()));
    row.response_body = Some(BodyText(String::new()));
    row
}

fn full_attempt() -> AttemptRow {
    let mut row = attempt("r-1", 1_700_000_000_124);
    row.number = 2;
    row.principal = text("команда");
    row.channel = text("main");
    row.key_id = text("key_sha256_00000000");
    row.key = text("sk-12345***bcdef");
    row.upstream_protocol = Some("openai-chat".into());
    row.model = text("gpt-5");
    row.status = Some(529);
    row.fault = Some("overloaded".into());
    row.outrun = true;
    row.duration_ms = Some(12);
    row
}

async fn rows_come_back_whole(store: &dyn RequestLogStore) {
    write(store, vec![full_request(), request("", 0)], vec![full_attempt(), attempt("", 0)]).await;
    let mut requests = store.requests(&LogQuery::default()).await.unwrap().rows;
    assert!(requests.iter().all(|row| row.id > 0) && requests[0].id != requests[1].id);
    requests.iter_mut().for_each(|row| row.id = 0);
    assert_eq!(requests, [full_request(), request("", 0)]);
    let mut attempts = store.attempts(&LogQuery::default()).await.unwrap().rows;
    attempts.iter_mut().for_each(|row| row.id = 0);
    assert_eq!(attempts, [full_attempt(), attempt("", 0)]);
}

/// Three requests; the second one failed over from `main` to `spare`.
async fn three(store: &dyn RequestLogStore) {
    let one = |id: &str, time, principal: Option<&str>, model: &str, success| {
        let mut row = request(id, time);
        row.principal = principal.map(str::to_owned);
        (row.model, row.success) = (text(model), success);
        row
    };
    let requests = vec![
        one("b", 20, Some("team"), "claude", true),
        one("a", 10, Some("team"), "gpt", false),
        one("c", 20, None, "claude", true),
    ];
    let one = |id: &str, number, time, channel: &str, key: &str, success| {
        let mut row = attempt(id, if id == "b" { 20 } else { time });
        row.time = time;
        (row.channel, row.key_id, row.model) = (text(channel), text(key), text("up"));
        (row.number, row.success) = (number, success);
        row
    };
    let attempts = vec![
        one("b", 1, 20, "main", "k1", false),
        one("b", 2, 25, "spare", "k2", true),
        one("a", 1, 10, "main", "k1", false),
        one("c", 1, 20, "main", "k2", true),
    ];
    write(store, requests, attempts).await;
}

async fn what_is_chosen_and_in_which_order(store: &dyn RequestLogStore) {
    three(store).await;
    let all = LogQuery::default;
    for (query, requests, attempts) in [
        (all(), "cba", "b2 c1 b1 a1"),
        (LogQuery { from: Some(20), ..all() }, "cb", "b2 c1 b1"),
        (LogQuery { to: Some(20), ..all() }, "a", "a1"),
        (LogQuery { from: Some(10), to: Some(21), ..all() }, "cba", "c1 b1 a1"),
        (LogQuery { from: Some(11), to: Some(11), ..all() }, "", ""),
        (LogQuery { principal: text("team"), ..all() }, "ba", ""),
        (LogQuery { principal: text("Team"), ..all() }, "", ""),
        (LogQuery { model: text("claude"), ..all() }, "cb", ""),
        (LogQuery { model: text("up"), ..all() }, "", "b2 c1 b1 a1"),
        (LogQuery { success: Some(true), ..all() }, "cb", "b2 c1"),
        (LogQuery { success: Some(false), ..all() }, "a", "b1 a1"),
        (LogQuery { request_id: text("b"), ..all() }, "b", "b2 b1"),
        (LogQuery { key_id: text("k1"), ..all() }, "ba", "b1 a1"),
        (LogQuery { channel: text("spare"), ..all() }, "b", "b2"),
        (LogQuery { key_id: text("k2"), channel: text("main"), ..all() }, "c", "c1"),
        (LogQuery { key_id: text("k1"), success: Some(true), ..all() }, "b", ""),
        (LogQuery { key_id: text("k3"), ..all() }, "", ""),
    ] {
        let page = store.requests(&query).await.unwrap();
        let found: String = page.rows.iter().map(|row| row.request_id.as_str()).collect();
        assert_eq!((&*found, page.total), (requests, requests.len() as u64), "{query:?}");
        let page = store.attempts(&query).await.unwrap();
        let name = |row: &AttemptRow| format!("{}{}", row.request_id, row.number);
        let found: Vec<_> = page.rows.iter().map(name).collect();
        assert_eq!(found.join(" "), attempts, "{query:?}");
        assert_eq!(page.total, found.len() as u64);
    }
}

async fn pages_are_bounded(store: &dyn RequestLogStore) {
    let requests = (0..1100).map(|n| request(&n.to_string(), n)).collect();
    write(store, requests, Vec::new()).await;
    let rows = async |limit, offset| {
        let page =
            store.requests(&LogQuery { limit, offset, ..LogQuery::default() }).await.unwrap();
        assert_eq!(page.total, 1100);
        page.rows.iter().map(|row| row.time).collect::<Vec<_>>()
    };
    let newest =
        |count: u64, offset: u64| (0..count).map(|n| 1099 - offset - n).collect::<Vec<_>>();
    assert_eq!(rows(DEFAULT_PAGE, 0).await, newest(100, 0));
    assert_eq!(rows(3, 7).await, newest(3, 7));
    assert_eq!(rows(0, 0).await, newest(1, 0));
    assert_eq!(rows(usize::MAX, 0).await, newest(MAX_PAGE as u64, 0));
    assert_eq!(rows(MAX_PAGE, 1090).await, newest(10, 1090));
    assert!(rows(10, 1100).await.is_empty());
    assert!(rows(10, usize::MAX).await.is_empty());
}

async fn calls_are_requests_whatever_their_ids(store: &dyn RequestLogStore) {
    let one = |principal: &str, id: &str, time| {
        let mut row = request(id, time);
        row.principal = text(principal);
        row
    };
    let requests = vec![
        one("b", "1", 1),
        one("a", "2", 5),
        one("a", "2", 6),
        one("a", "3", 7),
        one("c", "4", 8),
        one("c", "5", 9),
        one("c", "6", 9),
        request("7", 9),
    ];
    write(store, requests, vec![attempt("8", 9)]).await;
    let calls = async |from| {
        let calls = store.calls(from).await.unwrap();
        calls.into_iter().map(|one| (one.principal, one.calls)).collect::<Vec<_>>()
    };
    let expected = |all: &[(&str, u64)]| {
        all.iter().map(|(principal, calls)| ((*principal).to_owned(), *calls)).collect::<Vec<_>>()
    };
    assert_eq!(calls(None).await, expected(&[("a", 3), ("c", 3), ("b", 1)]));
    assert_eq!(calls(Some(7)).await, expected(&[("c", 3), ("a", 1)]));
    assert_eq!(calls(Some(10)).await, []);
}

/// A caller that calls all of its requests `1`, and another one that does so too.
async fn ids_of_callers_join_nothing(store: &dyn RequestLogStore) {
    let tried = |time, channel: &str| {
        let mut row = attempt("1", time);
        row.channel = text(channel);
        row
    };
    let requests = vec![request("1", 1), request("1", 2), request("1", 3)];
    write(store, requests, vec![tried(1, "a"), tried(2, "b"), tried(3, "b")]).await;
    let times = async |query: LogQuery| {
        let page = store.requests(&query).await.unwrap();
        page.rows.iter().map(|row| row.time).collect::<Vec<_>>()
    };
    assert_eq!(times(LogQuery { channel: text("a"), ..LogQuery::default() }).await, [1]);
    assert_eq!(times(LogQuery { request_id: text("1"), ..LogQuery::default() }).await, [3, 2, 1]);
}

/// A commit whose answer was lost; the second time there are others in the batch too.
async fn what_comes_again_is_left_out(store: &dyn RequestLogStore) {
    let second = |mut row: AttemptRow| {
        row.number = 2;
        row
    };
    write(store, vec![request("a", 1)], vec![attempt("a", 1)]).await;
    let attempts = vec![attempt("a", 1), second(attempt("a", 1))];
    write(store, vec![request("a", 1), request("b", 2)], attempts.clone()).await;
    write(store, vec![request("b", 2)], attempts).await;
    assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, 2);
    assert_eq!(store.attempts(&LogQuery::default()).await.unwrap().total, 2);
}

async fn the_oldest_are_forgotten_step_by_step(store: &dyn RequestLogStore) {
    let requests = [9, 3, 5, 1, 7].map(|time| request("", time)).to_vec();
    write(store, requests, [2, 4].map(|time| attempt("", time)).to_vec()).await;
    let left = async || {
        let page = store.requests(&LogQuery::default()).await.unwrap();
        page.rows.iter().map(|row| row.time).collect::<Vec<_>>()
    };
    assert_eq!(store.purge(1, 9).await, Ok(0));
    assert_eq!(store.purge(7, 2).await, Ok(4));
    assert_eq!(left().await, [9, 7, 5]);
    assert_eq!(store.attempts(&LogQuery::default()).await.unwrap().total, 0);
    assert_eq!(store.purge(7, 2).await, Ok(1));
    assert_eq!(store.purge(7, 2).await, Ok(0));
    assert_eq!(left().await, [9, 7]);
}

async fn large_batches_arrive(store: &dyn RequestLogStore) {
    let requests = (0..1234).map(numbered).collect();
    write(store, requests, (0..1234).map(|n| attempt("", n)).collect()).await;
    assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, 1234);
    assert_eq!(store.attempts(&LogQuery::default()).await.unwrap().total, 1234);
    write(store, Vec::new(), Vec::new()).await;
}

/// Whatever a caller names itself, its model or its request.
async fn texts_are_no_statements(store: &dyn RequestLogStore) {
    for hostile in ["'; DROP TABLE gateway_requests; --", "' OR '1'='1", "$1", "?", "%", "\\", "\""]
    {
        let mut row = request(hostile, 1);
        (row.principal, row.model) = (text(hostile), text(hostile));
        write(store, vec![row], Vec::new()).await;
        let query = LogQuery {
            principal: text(hostile),
            model: text(hostile),
            request_id: text(hostile),
            ..LogQuery::default()
        };
        let page = store.requests(&query).await.unwrap();
        assert_eq!((page.total, &*page.rows[0].request_id), (1, hostile));
        let by_key = LogQuery { key_id: text(hostile), ..LogQuery::default() };
        assert_eq!(store.requests(&by_key).await.unwrap().total, 0);
    }
    // PostgreSQL keeps no NUL: the row and its neighbours are kept all the same.
    let mut row = request("nul", 2);
    row.model = text("a\0b");
    write(store, vec![row, request("neighbour", 2)], Vec::new()).await;
    let found = LogQuery { model: text("a\0b"), ..LogQuery::default() };
    assert_eq!(store.requests(&found).await.unwrap().rows[0].request_id, "nul");
    assert_eq!(store.requests(&LogQuery::default()).await.unwrap().total, 9);
}

/// Rows and questions by chance; the store in memory is simple enough to be believed.
async fn answers_are_those_of_memory(store: &dyn RequestLogStore) {
    let memory = MemoryRequestLog::new();
    let (mut rng, mut numbers) = (fastrand::Rng::with_seed(5), 1..);
    for _ in 0..20 {
        let requests =
            (0..rng.usize(..20)).zip(&mut numbers).map(|(_, n)| any_request(&mut rng, n));
        let requests: Vec<_> = requests.collect();
        let attempts =
            (0..rng.usize(..30)).zip(&mut numbers).map(|(_, n)| any_attempt(&mut rng, n));
        let attempts: Vec<_> = attempts.collect();
        write(&memory, requests.clone(), attempts.clone()).await;
        write(store, requests, attempts).await;
        if rng.u8(..4) == 0 {
            let (before, most) = (rng.u64(..50), rng.usize(..10));
            assert_eq!(store.purge(before, most).await, memory.purge(before, most).await);
        }
        for _ in 0..10 {
            let query = any_query(&mut rng);
            let (ours, theirs) = (store.requests(&query), memory.requests(&query));
            assert_eq!(ours.await, theirs.await, "{query:?}");
            let (ours, theirs) = (store.attempts(&query), memory.attempts(&query));
            assert_eq!(ours.await, theirs.await, "{query:?}");
            assert_eq!(store.calls(query.from).await, memory.calls(query.from).await);
        }
    }
}

fn numbered(n: u64) -> RequestRow {
    let mut row = full_request();
    (row.uid, row.request_id) = (format!("uid-{n}"), n.to_string());
    row
}

fn any_name(rng: &mut fastrand::Rng) -> Option<String> {
    rng.choice([None, Some("a"), Some("b"), Some("c")]).unwrap().map(str::to_owned)
}

fn any_request(rng: &mut fastrand::Rng, number: u32) -> RequestRow {
    let mut row = request(&rng.u8(..20).to_string(), rng.u64(..100));
    row.uid = number.to_string();
    (row.principal, row.model, row.success) = (any_name(rng), any_name(rng), rng.bool());
    (row.status, row.input_tokens) = (Some(rng.u16(200..600)), Some(rng.u64(..1000)));
    row.fault = any_name(rng).map(Cow::Owned);
    row
}

/// Of a request before it, if it is not an attempt's number.
fn any_attempt(rng: &mut fastrand::Rng, number: u32) -> AttemptRow {
    let mut row = attempt(&rng.u8(..20).to_string(), rng.u64(..100));
    (row.uid, row.number) = (rng.u32(..number).to_string(), number);
    (row.principal, row.model, row.success) = (any_name(rng), any_name(rng), rng.bool());
    (row.channel, row.key_id) = (any_name(rng), any_name(rng));
    row
}

fn any_query(rng: &mut fastrand::Rng) -> LogQuery {
    let rarely = |rng: &mut fastrand::Rng| any_name(rng).filter(|_| rng.u8(..3) == 0);
    LogQuery {
        from: rng.bool().then(|| rng.u64(..100)),
        to: rng.bool().then(|| rng.u64(..120)),
        principal: rarely(rng),
        model: rarely(rng),
        key_id: rarely(rng),
        channel: rarely(rng),
        success: rng.bool().then(|| rng.bool()),
        request_id: (rng.u8(..5) == 0).then(|| rng.u8(..20).to_string()),
        limit: rng.usize(..50),
        offset: rng.usize(..20),
    }
}
