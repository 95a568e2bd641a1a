//! What the request log has written, by the numbers that its queries give.

use tower_llm_gateway::store::{LogQuery, RequestLogStore, SqlStore};

use crate::ask::{LIMITED, TEAMS};
use crate::books::Books;
use crate::gateway::all_channels;

/// Adds the numbers of rows to the books of the gateway.
pub(crate) async fn count(store: &SqlStore, books: &mut Books) {
    let one = || LogQuery { limit: 1, ..LogQuery::default() };
    let successes = || LogQuery { success: Some(true), ..one() };
    requests(store, books, "all", one()).await;
    requests(store, books, "successes", successes()).await;
    for (team, _) in TEAMS.into_iter().chain([LIMITED]) {
        let query = LogQuery { principal: Some(team.to_owned()), ..one() };
        requests(store, books, team, query).await;
    }
    let attempts = store.attempts(&one()).await.unwrap().total;
    books.count("rows of attempts: all", attempts as u64);
    for channel in all_channels() {
        let query = LogQuery { channel: Some(channel.clone()), ..successes() };
        let attempts = store.attempts(&query).await.unwrap().total;
        books.count(format!("rows of attempts: successes of {channel}"), attempts as u64);
    }
}

async fn requests(store: &SqlStore, books: &mut Books, name: &str, query: LogQuery) {
    let total = store.requests(&query).await.unwrap().total;
    books.count(format!("rows of requests: {name}"), total as u64);
}
