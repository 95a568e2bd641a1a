use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::answer::OpenTurn;
use super::history::{self, TooLong};
use super::layer::Config;
use super::listing::Listing;
use super::stored::{self, Asked};
use crate::body::{
    Collect, CollectError, Collected, DecodeBody, DecodeError, EVENT_STREAM, JSON, Refusal,
    RewriteBody, change_body, drop_body_headers, media_type,
};
use crate::context::{Exchange, RequestFacts};
use crate::protocol::edit::{Edited, Outline, StatefulRequest};
use crate::protocol::model::FaultKind;
use crate::protocol::{Operation, Protocol, Route};
use crate::store::{StoreError, StoreFuture, Turn, TurnKey};

pin_project! {
    /// Response future of [`Session`](super::Session).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        #[pin]
        state: State<S, S::Future, B, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, C> {
        /// Reads the request.
        Read { #[pin] collect: Collect<DecodeBody<B>>, call: Option<Box<PendingCall<S>>> },
        /// Asks the store for the history.
        Recall { history: StoreFuture<Vec<Arc<Turn>>>, call: Option<Box<(PendingCall<S>, Collected)>> },
        Call { #[pin] future: F, turn: Option<Box<(OpenTurn, usize)>> },
        /// Reads an answer that is kept and no stream.
        Answer { answer: Option<Box<Answer<C>>> },
        Show { found: StoreFuture<Vec<Arc<Turn>>>, id: Box<str>, listing: Option<Listing> },
        Delete { found: StoreFuture<bool>, id: Box<str> },
        Refuse { refusal: Refusal },
        Done { response: Option<Box<Response<ResponseBody<C>>>> },
    }
}

/// An answer that is read. Boxed, as it is large and seldom.
struct Answer<C> {
    collect: Pin<Box<Collect<DecodeBody<C>>>>,
    parts: response::Parts,
    turn: OpenTurn,
}

/// What waits while the request and its history are read. Boxed, as it is large.
struct PendingCall<S> {
    service: S,
    parts: request::Parts,
    route: Route,
    exchange: Exchange,
    config: Arc<Config>,
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn pass(future: S::Future) -> Self {
        Self { state: State::Call { future, turn: None } }
    }

    pub(super) fn refuse(refusal: Refusal) -> Self {
        Self { state: State::Refuse { refusal } }
    }

    pub(super) fn recall(
        config: &Config,
        exchange: &Exchange,
        (id, asked): (&str, Asked),
        query: Option<&str>,
    ) -> Self {
        let key = key(exchange, id);
        let id = id.into();
        let listing = match asked {
            Asked::InputItems => Listing::read(query.unwrap_or_default()).map(Some),
            Asked::Show | Asked::Delete => Ok(None),
        };
        let state = match (asked, listing) {
            (_, Err(bad)) => done(stored::bad_parameter(&bad)),
            (Asked::Delete, _) => State::Delete { found: config.store.remove(&key), id },
            (_, Ok(listing)) => State::Show { found: config.store.history(&key, 1), id, listing },
        };
        Self { state }
    }

    pub(super) fn read(
        service: S,
        request: Request<B>,
        route: Route,
        exchange: Exchange,
        config: Arc<Config>,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let body = match DecodeBody::new(body, &mut parts.headers) {
            Ok(body) => body,
            Err(encoding) => return Self::refuse(encoding.into()),
        };
        let collect = Collect::new(body, config.max_request_bytes);
        let call = Box::new(PendingCall { service, parts, route, exchange, config });
        Self { state: State::Read { collect, call: Some(call) } }
    }
}

fn key(exchange: &Exchange, id: &str) -> TurnKey {
    let principal = exchange.read(|facts| facts.principal.as_ref().map(|p| p.id().into()));
    TurnKey { principal: principal.unwrap_or_else(|| "".into()), id: id.into() }
}

impl<S, B, C> Future for ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Read { collect, call } => {
                    let collected = ready!(collect.poll(cx));
                    let call = *call.take().expect("future polled after completion");
                    call.look(collected).unwrap_or_else(|refusal| State::Refuse { refusal })
                }
                StateProj::Recall { history, call } => {
                    let turns = ready!(history.as_mut().poll(cx));
                    let (call, body) = *call.take().expect("future polled after completion");
                    call.go_on(body, turns).unwrap_or_else(State::from)
                }
                StateProj::Call { future, turn } => {
                    let response = ready!(future.poll(cx))?;
                    let Some(turn) = turn.take() else {
                        return Poll::Ready(Ok(response.map(untouched)));
                    };
                    begin_answer(response, *turn)
                }
                StateProj::Answer { answer } => {
                    let reading = answer.as_mut().expect("future polled after completion");
                    let collected = ready!(reading.collect.as_mut().poll(cx));
                    let answer = answer.take().expect("it was there");
                    match finish_answer(answer.parts, &answer.turn, collected) {
                        Ok(response) => done(response),
                        Err(refusal) => State::Refuse { refusal },
                    }
                }
                StateProj::Show { found, id, listing } => match ready!(found.as_mut().poll(cx)) {
                    Ok(turns) => done(stored::show(turns.first(), id, listing.as_ref())),
                    Err(error) => State::Refuse { refusal: unavailable(error) },
                },
                StateProj::Delete { found, id } => match ready!(found.as_mut().poll(cx)) {
                    Ok(found) => done(stored::deleted(found, id)),
                    Err(error) => State::Refuse { refusal: unavailable(error) },
                },
                StateProj::Refuse { refusal } => {
                    let response = refusal.response(Some(Protocol::OpenAiResponses));
                    return Poll::Ready(Ok(response.map(ResponseBody::plain)));
                }
                StateProj::Done { response } => {
                    let response = response.take().expect("future polled after completion");
                    return Poll::Ready(Ok(*response));
                }
            };
            state.set(next);
        }
    }
}

fn untouched<C>(body: C) -> ResponseBody<C> {
    ResponseBody::plain(RewriteBody::untouched(body))
}

fn done<S, F, B, C>(response: Response<ResponseBody<C>>) -> State<S, F, B, C> {
    State::Done { response: Some(Box::new(response)) }
}

fn unavailable(error: StoreError) -> Refusal {
    Refusal::new(FaultKind::Overloaded, error.to_string())
}

/// Why a request does not go on.
enum Stopped {
    Refused(Refusal),
    UnknownPrevious(Arc<str>),
}

impl<E: Into<Refusal>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl<S, F, B, C> From<Stopped> for State<S, F, B, C> {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Refused(refusal) => Self::Refuse { refusal },
            Stopped::UnknownPrevious(id) => done(stored::unknown_previous(&id)),
        }
    }
}

impl<S> PendingCall<S> {
    /// Looks at the request: it passes, or it needs a history first, or only an id.
    fn look<B, C>(
        self,
        collected: Result<Collected, CollectError<DecodeError<B::Error>>>,
    ) -> Result<State<S, S::Future, B, C>, Refusal>
    where
        S: Service<Request<RewriteBody<B>>>,
        B: Body,
    {
        let body = collected?;
        let asked = StatefulRequest::read(&body.bytes)?;
        self.admit(&body.bytes)?;
        if let Some(previous) = asked.previous() {
            let key = key(&self.exchange, &previous.decode());
            let history = self.config.store.history(&key, self.config.limits.items.max(1));
            return Ok(State::Recall { history, call: Some(Box::new((self, body))) });
        }
        let stores = asked.stores() && self.route.operation == Operation::Generate;
        if !stores {
            return Ok(State::Call { future: self.send(body), turn: None });
        }
        self.go_on(body, Ok(Vec::new())).or_else(|stopped| Ok(stopped.into()))
    }

    fn admit(&self, body: &[u8]) -> Result<(), Refusal> {
        let outline = Outline::read(self.route.protocol, body)?;
        let facts = outline.facts(&self.parts.uri, &self.parts.headers)?;
        if self.exchange.admit(RequestFacts::from(&facts)) {
            return Ok(());
        }
        Err(Refusal::new(FaultKind::Permission, "this key may not use this model"))
    }

    /// Sends the request with its history.
    fn go_on<B: Body, C>(
        mut self,
        mut body: Collected,
        turns: Result<Vec<Arc<Turn>>, StoreError>,
    ) -> Result<State<S, S::Future, B, C>, Stopped>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        let turns = turns.map_err(unavailable)?;
        let asked = StatefulRequest::read(&body.bytes)?;
        let previous: Option<Arc<str>> = asked.previous().map(|id| id.decode().into());
        let history = match previous.clone().filter(|_| turns.is_empty()) {
            Some(id) => return Err(Stopped::UnknownPrevious(id)),
            None if turns.is_empty() => Vec::new(),
            None => history::items(&turns, &self.config.limits).map_err(too_long)?,
        };
        if let Some(name) = asked.foreign_state()? {
            let message = format!(
                "`{name}` needs a store of the vendor's, which this gateway does not use; \
                 `previous_response_id` and whole items work"
            );
            return Err(Refusal::new(FaultKind::BadRequest, message).into());
        }
        let is_count = self.route.operation == Operation::CountTokens;
        let (edited, turn) = if is_count {
            (asked.with_history(&history)?, None)
        } else {
            let turn = OpenTurn {
                store: Arc::clone(&self.config.store),
                key: key(&self.exchange, &new_id()?),
                previous,
                input: if asked.stores() { asked.input()? } else { Vec::new() },
                stored: asked.stores(),
            };
            let max = self.config.max_response_bytes;
            (asked.without_state(&history)?, Some(Box::new((turn, max))))
        };
        if let Edited::Changed(bytes) = edited {
            body.bytes = bytes;
            change_body(&mut self.parts.headers, body.bytes.len());
        }
        Ok(State::Call { future: self.send(body), turn })
    }

    fn send<B>(mut self, body: Collected) -> S::Future
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        self.service.call(Request::from_parts(self.parts, RewriteBody::collected(body)))
    }
}

fn too_long(_: TooLong) -> Refusal {
    let message = "the conversation is too long: begin a new one, without previous_response_id";
    Refusal::new(FaultKind::ContextTooLong, message)
}

/// An id that nobody can guess: whoever knows one may read its conversation, where callers are not
/// told apart.
fn new_id() -> Result<String, Refusal> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|_| Refusal::new(FaultKind::Overloaded, "no randomness for an id"))?;
    let mut id = String::with_capacity("resp_".len() + 2 * random.len());
    id.push_str("resp_");
    for byte in random {
        for digit in [byte >> 4, byte & 0xf] {
            id.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    Ok(id)
}

fn begin_answer<S, F, B, C: Body<Data = Bytes>>(
    response: Response<C>,
    (turn, max_bytes): (OpenTurn, usize),
) -> State<S, F, B, C> {
    if response.status() != StatusCode::OK {
        return done(response.map(untouched));
    }
    let (mut parts, body) = response.into_parts();
    if !matches!(media_type(&parts.headers), EVENT_STREAM | JSON | "") {
        return done(Response::from_parts(parts, untouched(body)));
    }
    let Ok(body) = DecodeBody::new(body, &mut parts.headers) else {
        let message = "the upstream's answer is encoded, though identity was asked";
        return State::Refuse { refusal: Refusal::new(FaultKind::Upstream, message) };
    };
    match media_type(&parts.headers) {
        EVENT_STREAM => {
            drop_body_headers(&mut parts.headers);
            done(Response::from_parts(parts, ResponseBody::stream(body, turn)))
        }
        _ => {
            let collect = Box::pin(Collect::new(body, max_bytes));
            State::Answer { answer: Some(Box::new(Answer { collect, parts, turn })) }
        }
    }
}

fn finish_answer<C, E>(
    mut parts: response::Parts,
    turn: &OpenTurn,
    collected: Result<Collected, CollectError<DecodeError<E>>>,
) -> Result<Response<ResponseBody<C>>, Refusal> {
    let mut collected = collected.map_err(|error| match error {
        CollectError::TooLarge => {
            Refusal::new(FaultKind::Upstream, "the upstream's answer is too large")
        }
        CollectError::Body(DecodeError::Malformed) => {
            Refusal::new(FaultKind::Upstream, "the upstream's answer is not encoded as it says")
        }
        CollectError::Body(DecodeError::Body(_)) => {
            Refusal::new(FaultKind::Transport, "the connection to the upstream broke")
        }
    })?;
    collected.bytes = turn.claim_document(&collected.bytes).map_err(|_| {
        Refusal::new(FaultKind::Upstream, "the upstream's answer could not be read")
    })?;
    drop_body_headers(&mut parts.headers);
    Ok(Response::from_parts(parts, ResponseBody::plain(RewriteBody::collected(collected))))
}

impl<S, B, C> fmt::Debug for ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Principal;

    #[test]
    fn ids_are_unique_and_of_the_usual_form() {
        let (one, two) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(one, two);
        assert_eq!((one.len(), &one[..5]), (37, "resp_"));
    }

    #[test]
    fn keys_hold_the_principal() {
        let exchange = Exchange::default();
        assert_eq!(&*key(&exchange, "r").principal, "");
        exchange.update(|facts| facts.principal = Some(Principal::new("team")));
        assert_eq!(&*key(&exchange, "r").principal, "team");
    }
}
