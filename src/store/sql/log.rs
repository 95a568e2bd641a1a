//! The request log in SQL.

use std::borrow::Cow;
use std::sync::Arc;

use super::SqlStore;
use super::database::Columns;
use super::statement::Statement;
use crate::store::{
    AttemptRow, BodyText, LogBatch, LogQuery, MAX_PRINCIPALS, Page, PrincipalCalls,
    RequestLogStore, RequestRow, StoreError, StoreFuture,
};

/// Rows of one INSERT: SQLite binds at most 32,766 values, PostgreSQL 65,535.
const ROWS_PER_INSERT: usize = 500;

/// What becomes of rows that are there already.
const LEFT_OUT: &str = " ON CONFLICT DO NOTHING";

impl RequestLogStore for SqlStore {
    fn append(&self, batch: Arc<LogBatch>) -> StoreFuture<()> {
        let database = self.database().clone();
        Box::pin(async move {
            let requests = batch.requests.chunks(ROWS_PER_INSERT).map(insert_requests);
            let attempts = batch.attempts.chunks(ROWS_PER_INSERT).map(insert_attempts);
            database.write(requests.chain(attempts).collect()).await.map(drop)
        })
    }

    fn requests(&self, query: &LogQuery) -> StoreFuture<Page<RequestRow>> {
        let (store, query) = (self.clone(), query.clone());
        Box::pin(async move {
            let chosen = |sql| requests(Statement::varying(sql), &query);
            let count = chosen("SELECT COUNT(*) AS total FROM gateway_requests AS r WHERE TRUE");
            let rows = chosen("SELECT r.* FROM gateway_requests AS r WHERE TRUE");
            store.page(count, rows, &query, read_request).await
        })
    }

    fn attempts(&self, query: &LogQuery) -> StoreFuture<Page<AttemptRow>> {
        let (store, query) = (self.clone(), query.clone());
        Box::pin(async move {
            let chosen = |sql| attempts(Statement::varying(sql), &query);
            let count = chosen("SELECT COUNT(*) AS total FROM gateway_attempts AS r WHERE TRUE");
            let rows = chosen("SELECT r.* FROM gateway_attempts AS r WHERE TRUE");
            store.page(count, rows, &query, read_attempt).await
        })
    }

    fn calls(&self, from: Option<u64>) -> StoreFuture<Vec<PrincipalCalls>> {
        let database = self.database().clone();
        Box::pin(async move {
            let statement = Statement::new(
                "SELECT principal, COUNT(*) AS calls FROM gateway_requests \
                 WHERE principal IS NOT NULL AND time >= ",
            )
            .int(from.unwrap_or_default())
            .sql(" GROUP BY principal ORDER BY calls DESC, principal LIMIT ")
            .int(MAX_PRINCIPALS as u64);
            let read = |row: &dyn Columns| {
                Ok(PrincipalCalls {
                    principal: row.string("principal")?,
                    calls: row.count("calls")?,
                })
            };
            database.fetch(statement, read).await
        })
    }

    fn purge(&self, before: u64, most: usize) -> StoreFuture<u64> {
        let database = self.database().clone();
        let old = move |sql| {
            let oldest = Statement::new(sql).int(before).sql(" ORDER BY time, id LIMIT ");
            oldest.int(most as u64).sql(")")
        };
        let requests = old("DELETE FROM gateway_requests WHERE id IN \
                            (SELECT id FROM gateway_requests WHERE time < ");
        let attempts = old("DELETE FROM gateway_attempts WHERE id IN \
                            (SELECT id FROM gateway_attempts WHERE time < ");
        Box::pin(async move { database.write(vec![requests, attempts]).await })
    }
}

impl SqlStore {
    async fn page<R>(
        &self,
        count: Statement<'_>,
        rows: Statement<'_>,
        query: &LogQuery,
        read: fn(&dyn Columns) -> sqlx::Result<R>,
    ) -> Result<Page<R>, StoreError> {
        let page = query.page();
        let rows = rows
            .sql(" ORDER BY r.time DESC, r.id DESC LIMIT ")
            .int(page.len() as u64)
            .sql(" OFFSET ")
            .int(page.start as u64);
        let total = self.database().fetch(count, |row| row.count("total")).await?;
        let rows = self.database().fetch(rows, read).await?;
        Ok(Page { rows, total: total.first().copied().unwrap_or_default() })
    }
}

/// What rows of both kinds are chosen by; `r` is the row.
fn common<'a>(mut statement: Statement<'a>, query: &'a LogQuery) -> Statement<'a> {
    if let Some(from) = query.from {
        statement = statement.sql(" AND r.time >= ").int(from);
    }
    if let Some(to) = query.to {
        statement = statement.sql(" AND r.time < ").int(to);
    }
    if let Some(success) = query.success {
        statement = statement.sql(" AND r.success = ").flag(success);
    }
    statement = equal(statement, " AND r.principal = ", &query.principal);
    statement = equal(statement, " AND r.model = ", &query.model);
    equal(statement, " AND r.request_id = ", &query.request_id)
}

fn requests<'a>(statement: Statement<'a>, query: &'a LogQuery) -> Statement<'a> {
    let statement = common(statement, query);
    if query.key_id.is_none() && query.channel.is_none() {
        return statement;
    }
    // Not EXISTS: with it, SQLite 3.51 leaves out too few rows for an OFFSET where one has several
    // matches.
    let statement =
        statement.sql(" AND r.uid IN (SELECT a.uid FROM gateway_attempts AS a WHERE TRUE");
    let statement = equal(statement, " AND a.key_id = ", &query.key_id);
    equal(statement, " AND a.channel = ", &query.channel).sql(")")
}

fn attempts<'a>(statement: Statement<'a>, query: &'a LogQuery) -> Statement<'a> {
    let statement = equal(common(statement, query), " AND r.key_id = ", &query.key_id);
    equal(statement, " AND r.channel = ", &query.channel)
}

fn equal<'a>(
    statement: Statement<'a>,
    condition: &'static str,
    value: &'a Option<String>,
) -> Statement<'a> {
    match value {
        Some(value) => statement.sql(condition).text(value.as_str()),
        None => statement,
    }
}

fn insert_requests(rows: &[RequestRow]) -> Statement<'_> {
    Statement::varying(
        "INSERT INTO gateway_requests (uid, request_id, time, principal, method, path, \
         client_protocol, operation, model, status, success, fault, ending, attempts, headers_ms, \
         first_event_ms, total_ms, bytes_in, bytes_out, input_tokens, cache_read_tokens, \
         cache_write_tokens, output_tokens, reasoning_tokens, cost_nanos, error, request_body, \
         response_body) VALUES ",
    )
    .rows(rows, |statement, row| {
        statement
            .text(row.uid.as_str())
            .text(row.request_id.as_str())
            .int(row.time)
            .text(row.principal.as_deref())
            .text(&*row.method)
            .text(row.path.as_str())
            .text(row.client_protocol.as_deref())
            .text(row.operation.as_deref())
            .text(row.model.as_deref())
            .int(row.status.map(u64::from))
            .flag(row.success)
            .text(row.fault.as_deref())
            .text(&*row.end)
            .int(u64::from(row.attempts))
            .int(row.headers_ms)
            .int(row.first_event_ms)
            .int(row.total_ms)
            .int(row.bytes_in)
            .int(row.bytes_out)
            .int(row.input_tokens)
            .int(row.cache_read_tokens)
            .int(row.cache_write_tokens)
            .int(row.output_tokens)
            .int(row.reasoning_tokens)
            .int(row.cost_nanos)
            .text(row.error.as_deref())
            .text(row.request_body.as_ref().map(|body| body.0.as_str()))
            .text(row.response_body.as_ref().map(|body| body.0.as_str()))
    })
    .sql(LEFT_OUT)
}

fn read_request(row: &dyn Columns) -> sqlx::Result<RequestRow> {
    Ok(RequestRow {
        id: row.count("id")?,
        uid: row.string("uid")?,
        request_id: row.string("request_id")?,
        time: row.count("time")?,
        principal: row.text("principal")?,
        method: row.string("method")?.into(),
        path: row.string("path")?,
        client_protocol: row.text("client_protocol")?.map(Cow::Owned),
        operation: row.text("operation")?.map(Cow::Owned),
        model: row.text("model")?,
        status: row.number("status")?,
        success: row.flag("success")?,
        fault: row.text("fault")?.map(Cow::Owned),
        end: row.string("ending")?.into(),
        attempts: row.count("attempts")?,
        headers_ms: row.number("headers_ms")?,
        first_event_ms: row.number("first_event_ms")?,
        total_ms: row.count("total_ms")?,
        bytes_in: row.count("bytes_in")?,
        bytes_out: row.count("bytes_out")?,
        input_tokens: row.number("input_tokens")?,
        cache_read_tokens: row.number("cache_read_tokens")?,
        cache_write_tokens: row.number("cache_write_tokens")?,
        output_tokens: row.number("output_tokens")?,
        reasoning_tokens: row.number("reasoning_tokens")?,
        cost_nanos: row.number("cost_nanos")?,
        error: row.text("error")?,
        request_body: row.text("request_body")?.map(BodyText),
        response_body: row.text("response_body")?.map(BodyText),
    })
}

fn insert_attempts(rows: &[AttemptRow]) -> Statement<'_> {
    Statement::varying(
        "INSERT INTO gateway_attempts (uid, request_id, number, time, principal, channel, key_id, \
         key_masked, upstream_protocol, model, status, success, fault, outrun, duration_ms) VALUES ",
    )
    .rows(rows, |statement, row| {
        statement
            .text(row.uid.as_str())
            .text(row.request_id.as_str())
            .int(u64::from(row.number))
            .int(row.time)
            .text(row.principal.as_deref())
            .text(row.channel.as_deref())
            .text(row.key_id.as_deref())
            .text(row.key.as_deref())
            .text(row.upstream_protocol.as_deref())
            .text(row.model.as_deref())
            .int(row.status.map(u64::from))
            .flag(row.success)
            .text(row.fault.as_deref())
            .flag(row.outrun)
            .int(row.duration_ms)
    })
    .sql(LEFT_OUT)
}

fn read_attempt(row: &dyn Columns) -> sqlx::Result<AttemptRow> {
    Ok(AttemptRow {
        id: row.count("id")?,
        uid: row.string("uid")?,
        request_id: row.string("request_id")?,
        number: row.count("number")?,
        time: row.count("time")?,
        principal: row.text("principal")?,
        channel: row.text("channel")?,
        key_id: row.text("key_id")?,
        key: row.text("key_masked")?,
        upstream_protocol: row.text("upstream_protocol")?.map(Cow::Owned),
        model: row.text("model")?,
        status: row.number("status")?,
        success: row.flag("success")?,
        fault: row.text("fault")?.map(Cow::Owned),
        outrun: row.flag("outrun")?,
        duration_ms: row.number("duration_ms")?,
    })
}
