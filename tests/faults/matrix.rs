use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_llm_gateway::context::{Attempt, Connection};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::model::FaultKind;

use crate::caller::{Got, Speaks, client};
use crate::gateway::{CALLER_KEY, Gateway, LIMIT, Rules, Way};
use crate::rows::{Caller, Ends, Fails, LATE, Row, Shape, rows, slow_words};
use crate::script::{Asked, WORDS};
use crate::vendor::Vendor;

/// Cells at a time: more would run into each other's timeouts.
const AT_ONCE: usize = 8;

/// Who asks whom.
const PAIRS: [(Speaks, Protocol, &str); 4] = [
    (Speaks::Messages, Protocol::Anthropic, "messages"),
    (Speaks::Chat, Protocol::OpenAiChat, "chat"),
    (Speaks::Messages, Protocol::OpenAiChat, "messages to chat"),
    (Speaks::Responses, Protocol::Anthropic, "responses to messages"),
];

/// One column of the matrix.
#[derive(Debug, Clone, Copy)]
struct Column {
    caller: Speaks,
    upstream: Protocol,
    pair: &'static str,
    stream: bool,
    /// There is a good channel beside the one that fails.
    armed: bool,
}

impl Column {
    fn all() -> impl Iterator<Item = Self> {
        PAIRS.into_iter().flat_map(|(caller, upstream, pair)| {
            [(true, false), (true, true), (false, false), (false, true)]
                .map(|(armed, stream)| Self { caller, upstream, pair, stream, armed })
        })
    }

    fn has(&self, row: &Row) -> bool {
        match row.shape {
            Shape::Both => true,
            Shape::Json => !self.stream,
            Shape::Stream => self.stream,
        }
    }

    fn protocol(&self) -> Protocol {
        match self.caller {
            Speaks::Messages => Protocol::Anthropic,
            Speaks::Chat => Protocol::OpenAiChat,
            Speaks::Responses => Protocol::OpenAiResponses,
        }
    }

    fn is_translated(&self) -> bool {
        self.protocol() != self.upstream
    }

    fn expected(&self, row: &Row) -> Got {
        let Ends { json, stream } = if self.armed { &row.armed } else { &row.alone };
        let ends = if self.stream { stream } else { json };
        match &ends[usize::from(self.is_translated())] {
            Got::Error(status) if self.is_translated() => Got::Error(self.reworded(row, *status)),
            end => end.clone(),
        }
    }

    /// The status of an error in the words of a caller whose vendor has another one for it.
    fn reworded(&self, row: &Row, status: u16) -> u16 {
        match (self.caller, row.fault) {
            (Speaks::Messages, Some(FaultKind::Overloaded)) => 529,
            (Speaks::Responses, Some(FaultKind::Overloaded)) => 503,
            (Speaks::Responses, Some(FaultKind::Billing)) => 429,
            _ => status,
        }
    }
}

/// What came of one cell.
struct Seen {
    got: Got,
    attempts: Vec<Attempt>,
    charged: BTreeMap<String, String>,
    leaks: String,
}

async fn run(row: &Row, column: Column) -> Seen {
    let asked = Asked { protocol: column.upstream, stream: column.stream };
    let bad = match row.fails {
        Fails::Refuses => Vendor::refusing(),
        Fails::Says(script) => Vendor::start(script(asked)),
    };
    let good = Vendor::start(asked.answers());
    let connection = row.connection;
    let protocol = column.upstream;
    let mut ways = vec![Way { id: "bad", url: bad.url(), protocol, keys: 1, connection }];
    if column.armed {
        ways[0].keys = 2;
        let connection = Connection::default();
        ways.push(Way { id: "good", url: good.url(), protocol, keys: 1, connection });
    }
    let gateway = Gateway::start(Rules::default(), ways).await;
    let got = tokio::time::timeout(LIMIT, ask(&gateway, &bad, row, column)).await;
    let got = got.unwrap_or_else(|_| Got::Malformed("no end".into()));
    let mut leaks = gateway.at_rest().await.err().unwrap_or_default();
    let attempts = gateway.exchange().read(|facts| facts.attempts.clone());
    // A connection is kept only where all of an answer was read from it.
    for (vendor, attempt) in [(&bad, attempts.first()), (&good, attempts.get(1))] {
        let most = usize::from(attempt.is_some());
        let closed = async {
            while vendor.open() > most {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(LIMIT, closed).await.is_err() {
            write!(leaks, "{} connections", vendor.open()).unwrap();
        }
    }
    Seen { got, attempts, charged: charged(&gateway, column.protocol()), leaks }
}

/// Who was charged with a failure, or found to be well.
fn charged(gateway: &Gateway, caller: Protocol) -> BTreeMap<String, String> {
    let keys = gateway.keys().map(|(channel, key)| {
        let counts = [key.totals.successes, key.totals.failures];
        (format!("{channel}/{}", &key.masked[..2]), counts)
    });
    let channels = gateway
        .channels(caller)
        .into_iter()
        .map(|channel| (channel.channel_id, [channel.success_count, channel.failure_count]));
    let charge = |counts: [u64; 2]| match counts {
        [0, 0] => String::new(),
        [1, 0] => "well".to_owned(),
        [0, 1] => "failed".to_owned(),
        _ => format!("{counts:?}"),
    };
    keys.chain(channels).map(|(whom, counts)| (whom, charge(counts))).collect()
}

async fn ask(gateway: &Gateway, bad: &Vendor, row: &Row, column: Column) -> Got {
    let client = client();
    let request = column.caller.request(&gateway.url, CALLER_KEY, column.stream);
    let call = client.request(request);
    if row.caller == Caller::LeavesBeforeHeaders {
        let asked = async {
            while bad.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = call => return Got::Malformed("it stalls".into()),
            () = asked => return Got::Left,
        }
    }
    let response = match call.await {
        Ok(response) => response,
        Err(error) => return Got::Malformed(format!("{error:?}")),
    };
    match row.caller {
        Caller::LeavesAfterHeaders => return Got::Left,
        Caller::ReadsLate => {
            tokio::time::sleep(LATE).await;
            let words = slow_words().concat();
            let waits = bad.written() < words.len() as u64 / 2;
            return match column.caller.judge(response, &words).await {
                Got::Whole if !waits => Got::Malformed("it was buffered".into()),
                Got::Malformed(text) => Got::Malformed(text[..200].into()),
                got => got,
            };
        }
        Caller::Reads | Caller::LeavesBeforeHeaders => {}
    }
    column.caller.judge(response, &WORDS.concat()).await
}

/// What a cell must have come to, in words.
fn expected(row: &Row, column: Column) -> String {
    let got = column.expected(row);
    let fault = row.fault.filter(|_| got != Got::Encoded);
    let failed = |key: &'static str| fault.map(|fault| ("bad", key, Some(fault)));
    let mut attempts = vec![failed("k1").unwrap_or(("bad", "k1", None))];
    if column.armed && got == Got::Whole && fault.is_some() {
        attempts.extend(failed("k2").filter(|_| fault.is_some_and(FaultKind::is_keys)));
        attempts.push(("good", "k1", None));
    }
    let mut charged = BTreeMap::new();
    for (number, (channel, key, fault)) in attempts.iter().enumerate() {
        let stays = attempts.get(number + 1).is_some_and(|next| next.0 == *channel);
        let charges = match fault {
            None => ["well", "well"],
            Some(fault) if fault.is_keys() && stays => ["failed", ""],
            Some(fault) if fault.moves_on() => ["failed", "failed"],
            Some(_) => ["", ""],
        };
        for (whom, charge) in
            [format!("{channel}/{key}"), (*channel).to_owned()].into_iter().zip(charges)
        {
            charged.insert(whom, charge.to_owned());
        }
    }
    let attempts = attempts.iter().map(|(channel, key, fault)| {
        format!("{channel}/{key} {}", fault.map_or("ok", FaultKind::as_str))
    });
    let got = got.to_string();
    describe(&got, attempts, &charged)
}

impl Seen {
    fn describe(&self) -> String {
        let attempts = self.attempts.iter().map(|attempt| {
            let channel = attempt.channel.as_ref().map_or("?", |channel| channel.as_str());
            let key = attempt.key.as_ref().map_or("?", |key| &key[..2]);
            format!("{channel}/{key} {}", attempt.fault.map_or("ok", |fault| fault.kind.as_str()))
        });
        describe(&self.got.to_string(), attempts, &self.charged)
    }
}

fn describe(
    got: &str,
    attempts: impl Iterator<Item = String>,
    charged: &BTreeMap<String, String>,
) -> String {
    let attempts = attempts.collect::<Vec<_>>().join(", ");
    let charged = |charge: &str| {
        let whom = charged.iter().filter(|(_, had)| *had == charge);
        whom.map(|(whom, _)| whom.as_str()).collect::<Vec<_>>().join(" ")
    };
    format!("{got:<12} | {attempts:<48} | {:<20} | {}", charged("failed"), charged("well"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_its_end() {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (number, row) in rows().into_iter().enumerate() {
        let row = Arc::new(row);
        for (place, column) in Column::all().enumerate().filter(|(_, column)| column.has(&row)) {
            let (permits, row) = (permits.clone(), row.clone());
            running.spawn(async move {
                let _permit = permits.acquire().await;
                let seen = run(&row, column).await;
                ((number, place), row, column, seen)
            });
        }
    }
    let mut cells = running.join_all().await;
    cells.sort_by_key(|(place, ..)| *place);
    let mut wrong = String::new();
    println!(
        "{:<22} | {:<21} | {:<12} | {:<12} | {:<48} | {:<20} | well",
        "the upstream", "who asks whom", "how", "the caller", "attempts", "charged"
    );
    for (_, row, column, seen) in &cells {
        let shape = if column.stream { "stream" } else { "json" };
        let armed = if column.armed { "armed" } else { "alone" };
        let cell = format!("{:<22} | {:<21} | {shape:<6} {armed}", row.name, column.pair);
        let (expected, seen) = (expected(row, *column), (seen.describe(), &seen.leaks));
        println!("{cell} | {}{}", seen.0, seen.1);
        if seen != (expected.clone(), &String::new()) {
            writeln!(
                wrong,
                "{cell} | {}, leaks: {}\n{:<59} | {expected}\n",
                seen.0, seen.1, "  but expected"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} cells, of which these are wrong:\n{wrong}", cells.len());
}

#[tokio::test]
async fn a_connection_serves_one_whole_answer_after_the_other() {
    const ANSWERS: usize = 5;
    let mut more = String::new();
    for column in Column::all().filter(|column| !column.armed) {
        let asked = Asked { protocol: column.upstream, stream: column.stream };
        let vendor = Vendor::start(asked.answers());
        let way = Way {
            id: "good",
            url: vendor.url(),
            protocol: column.upstream,
            keys: 1,
            connection: Connection::default(),
        };
        let gateway = Gateway::start(Rules::default(), vec![way]).await;
        let client = client();
        for _ in 0..ANSWERS {
            let request = column.caller.request(&gateway.url, CALLER_KEY, column.stream);
            let response = client.request(request).await.unwrap();
            assert_eq!(column.caller.judge(response, &WORDS.concat()).await, Got::Whole);
            gateway.at_rest().await.unwrap();
        }
        if vendor.accepted() > 1 {
            writeln!(more, "{}, stream {}: {}", column.pair, column.stream, vendor.accepted())
                .unwrap();
        }
    }
    assert_eq!(more, "");
}
