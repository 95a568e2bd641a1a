//! What becomes of a request that was read, before it is sent on.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::answer::{Job, Wanted};
use super::future::PendingCall;
use super::keep::Keeping;
use super::plan::{self, Plan};
use super::{ResponseBody, headers};
use crate::body::{Collected, JSON, Refusal, RewriteBody, drop_body_headers};
use crate::context::RequestFacts;
use crate::protocol::dialect::Outgoing;
use crate::protocol::edit::{Edited, Outline};
use crate::protocol::json::JsonStr;
use crate::protocol::model::FaultKind;
use crate::protocol::report::TranslationReport;
use crate::protocol::translate::{
    self, CountRequest, RequestOptions, TranslateError, TranslatedRequest,
};
use crate::protocol::{Answer, Endpoint, Head, Protocol};

/// What comes of a request that was read.
pub(super) enum Prepared<B, C> {
    /// It goes on; its answer is translated where there is a job.
    Call(RewriteBody<B>, Option<Box<Job>>),
    /// It is answered here.
    Answer(Box<Response<ResponseBody<C>>>),
}

fn bad_request(error: &TranslateError) -> Refusal {
    Refusal::new(FaultKind::BadRequest, error.to_string())
}

fn answered<C>(body: BytesMut) -> Response<ResponseBody<C>> {
    let mut response = Response::new(ResponseBody::plain(RewriteBody::full(body.freeze())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

impl<S> PendingCall<S> {
    pub(super) fn prepare<B, C>(
        &mut self,
        collected: Collected,
    ) -> Result<Prepared<B, C>, Refusal> {
        let call = |body, job| Prepared::Call(RewriteBody::full(body), Some(Box::new(job)));
        match self.plan {
            Plan::Translate { from, to } => {
                let (body, job) = self.translate(from, to, &collected.bytes)?;
                Ok(call(body, job))
            }
            Plan::Count { from, to } => self.count(from, to, &collected.bytes),
            Plan::Models { from, to } => self.models(from, to),
            Plan::Edit(protocol) => Ok(Prepared::Call(self.edit(protocol, collected)?, None)),
            Plan::Pass | Plan::Refuse(_) => {
                Ok(Prepared::Call(RewriteBody::collected(collected), None))
            }
        }
    }

    /// Leaves the facts and splices the mapped model; all other bytes stay.
    fn edit<B>(
        &mut self,
        protocol: Protocol,
        mut collected: Collected,
    ) -> Result<RewriteBody<B>, Refusal> {
        if self.config.vendors_change {
            // A body that cannot be read is for the upstream to refuse.
            if let Ok(Some(opened)) = translate::open_envelopes(protocol, &collected.bytes) {
                drop_body_headers(&mut self.parts.headers);
                collected.bytes = opened.freeze();
            }
            let plain =
                self.upstream.model_map().is_empty() && self.upstream.own_dialect().is_none();
            if plain && !self.exchange.is_limited() {
                return Ok(RewriteBody::collected(collected));
            }
        }
        let outline = Outline::read(protocol, &collected.bytes)?;
        let facts = outline.facts(&self.parts.uri, &self.parts.headers)?;
        self.leave(RequestFacts::from(&facts))?;
        let asked = facts.model.as_ref().map(JsonStr::decode).unwrap_or_default();
        let mapped = self.upstream.model_map().resolve(&asked);
        let model = mapped.unwrap_or(&asked);
        self.exchange.update(|facts| facts.upstream_model = Some(model.into()));
        let edited = match mapped {
            Some(model) => outline.set_model(&mut self.parts.uri, model)?,
            None => Edited::Unchanged,
        };
        let bytes = match edited {
            Edited::Changed(bytes) => bytes,
            Edited::Unchanged if self.upstream.own_dialect().is_none() => {
                return Ok(RewriteBody::collected(collected));
            }
            Edited::Unchanged => collected.bytes,
        };
        drop_body_headers(&mut self.parts.headers);
        let mut body = BytesMut::from(bytes);
        self.speak(&mut body, &mut TranslationReport::default())?;
        let bytes = body.freeze();
        Ok(RewriteBody::collected(Collected { bytes, trailers: collected.trailers }))
    }

    fn translate(
        &mut self,
        from: Protocol,
        to: Protocol,
        body: &[u8],
    ) -> Result<(Bytes, Job), Refusal> {
        let translated =
            self.with_options(to, |options| translate::request(from, to, body, options))?;
        self.leave_facts(&translated)?;
        self.asked(from, to, translated, Wanted::Answer)
    }

    /// Asks the upstream to count, or answers with an estimate where it cannot.
    fn count<B, C>(
        &mut self,
        from: Protocol,
        to: Protocol,
        body: &[u8],
    ) -> Result<Prepared<B, C>, Refusal> {
        let counted =
            self.with_options(to, |options| translate::count_request(from, to, body, options))?;
        match counted {
            CountRequest::Ask(translated) => {
                self.leave_facts(&translated)?;
                let (body, job) = self.asked(from, to, *translated, Wanted::Count)?;
                Ok(Prepared::Call(RewriteBody::full(body), Some(Box::new(job))))
            }
            CountRequest::Estimate { tokens, model } => {
                let model = Some(model.as_str().into());
                self.leave(RequestFacts { model, ..RequestFacts::default() })?;
                let body =
                    translate::write_count(from, tokens).map_err(|error| bad_request(&error))?;
                let mut response = answered(body);
                headers::mark_estimate(response.headers_mut());
                Ok(Prepared::Answer(Box::new(response)))
            }
        }
    }

    /// Asks the upstream for its models, or tells those of the model map where it has no list.
    fn models<B, C>(&mut self, from: Protocol, to: Protocol) -> Result<Prepared<B, C>, Refusal> {
        let asked = plan::asked_model(self.parts.uri.path());
        let Ok((path, query)) = translate::models_endpoint(to) else {
            let names = self.upstream.model_map().names();
            if asked.is_some() || names.len() == 0 {
                let message = format!("an upstream of protocol {to} does not list its models");
                return Err(Refusal::new(FaultKind::NotFound, message));
            }
            let body = translate::write_models(from, names).map_err(|error| bad_request(&error))?;
            return Ok(Prepared::Answer(Box::new(answered(body))));
        };
        let endpoint = match &asked {
            None => Endpoint { query, ..Endpoint::new(path) },
            Some(model) => {
                let name = self.upstream.model_map().resolve(model).unwrap_or(model);
                Endpoint::new(format!("{path}/{}", plan::one_segment(name)))
            }
        };
        self.address(to, &endpoint)?;
        let wanted = Wanted::Models { one: asked.is_some() };
        let job = Job::new(from, to, wanted, self.notes(), Arc::clone(&self.config));
        Ok(Prepared::Call(RewriteBody::full(Bytes::new()), Some(Box::new(job))))
    }

    fn with_options<T>(
        &self,
        to: Protocol,
        translate: impl FnOnce(&RequestOptions<'_>) -> Result<T, TranslateError>,
    ) -> Result<T, Refusal> {
        let map_model = |model: &str| self.upstream.model_map().resolve(model).map(str::to_owned);
        let head = Head {
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
        };
        let keeping = Keeping::new(&self.config, &self.exchange, to);
        let options = RequestOptions {
            head: Some(head),
            profiles: self.upstream.target_profiles(),
            mode: self.config.mode,
            map_model: &map_model,
            recall: &|call_id| keeping.recall(call_id),
        };
        translate(&options).map_err(|error| bad_request(&error))
    }

    /// The translated request as it goes out, and what its answer needs.
    fn asked(
        &mut self,
        from: Protocol,
        to: Protocol,
        translated: TranslatedRequest,
        wanted: Wanted,
    ) -> Result<(Bytes, Job), Refusal> {
        self.address(to, &translated.endpoint)?;
        let (mut body, mut report) = (translated.body, translated.report);
        if wanted == Wanted::Answer {
            self.speak(&mut body, &mut report)?;
        }
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut answer = Answer::new(translated.model, created, fastrand::u64(..));
        answer.include_usage = translated.include_usage;
        answer.layout = translated.layout;
        answer.echo = translated.echo;
        answer.restore = translated.restore;
        answer.dialect = self.upstream.own_dialect().cloned();
        let job = Job::new(from, to, wanted, self.notes(), Arc::clone(&self.config));
        let job = Job { stream: translated.stream, answer, report, ..job };
        Ok((body.freeze(), job))
    }

    /// Lets the upstream's dialect have its way with a request that is ready.
    fn speak(
        &mut self,
        body: &mut BytesMut,
        report: &mut TranslationReport,
    ) -> Result<(), Refusal> {
        let Some(dialect) = self.upstream.own_dialect() else { return Ok(()) };
        let (uri, headers) = (&mut self.parts.uri, &mut self.parts.headers);
        dialect
            .request(&mut Outgoing { uri, headers, body, report })
            .map_err(|error| Refusal::new(FaultKind::BadRequest, error.to_string()))?;
        match report.refused_by(self.config.mode) {
            Some(loss) => Err(bad_request(&TranslateError::Refused(loss.clone()))),
            None => Ok(()),
        }
    }

    /// Sends the request to its endpoint.
    fn address(&mut self, to: Protocol, endpoint: &Endpoint) -> Result<(), Refusal> {
        let uri = self.upstream.uri_for(&endpoint.path, endpoint.query);
        self.parts.uri = uri.map_err(|_| plan::bad_path())?;
        headers::translate_request(&mut self.parts.headers, to);
        headers::ask_for_identity(&mut self.parts.headers);
        for (name, value) in &endpoint.headers {
            self.parts.headers.insert(name, value.clone());
        }
        Ok(())
    }

    fn leave_facts(&self, translated: &TranslatedRequest) -> Result<(), Refusal> {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        self.leave(RequestFacts {
            model: Some(translated.model.as_str().into()),
            stream: translated.stream,
            user: text(&translated.user),
            cache_key: text(&translated.cache_key),
            previous_response_id: None,
        })?;
        let model = translated.upstream_model.as_str();
        self.exchange.update(|facts| facts.upstream_model = Some(model.into()));
        Ok(())
    }

    /// Leaves the facts for others, unless the principal may not use this model.
    fn leave(&self, request: RequestFacts) -> Result<(), Refusal> {
        if self.exchange.admit(request) {
            return Ok(());
        }
        Err(Refusal::new(FaultKind::Permission, "this key may not use this model"))
    }
}
