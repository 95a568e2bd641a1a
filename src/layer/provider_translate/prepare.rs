//! What becomes of a request that was read, before it is sent on.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::Response;

use super::answer::{Job, Wanted};
use super::estimate::{self, answered};
use super::future::PendingCall;
use super::keep::Keeping;
use super::plan::{self, Plan};
use super::{ResponseBody, headers};
use crate::body::{Collected, Refusal, RewriteBody, drop_body_headers};
use crate::context::{ExchangeFacts, RequestFacts};
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
    let refusal = Refusal::new(FaultKind::BadRequest, error.to_string());
    match error {
        // Another upstream may take it as it is; what cannot be read nobody can.
        TranslateError::Refused(_) => refusal.for_this_upstream(),
        _ => refusal,
    }
}

/// The model that was asked for, where somebody has read it, is that of the upstream too.
pub(super) fn passes_model(facts: &mut ExchangeFacts) {
    facts.upstream_model = facts.request.as_ref().and_then(|request| request.model.clone());
}

/// An estimate instead of a count.
fn estimated<B, C>(caller: Protocol, question: &[u8]) -> Result<Prepared<B, C>, Refusal> {
    let response = estimate::estimated(caller, question).map_err(|error| bad_request(&error))?;
    Ok(Prepared::Answer(Box::new(response)))
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
            Plan::Count { from, to } if from == to => self.count_there(from, collected),
            Plan::Count { from, to } => self.count(from, to, collected.bytes),
            Plan::Models { from, to } => self.models(from, to),
            Plan::Edit(protocol) => {
                let edited = self.edit(protocol, collected)?;
                Ok(Prepared::Call(RewriteBody::collected(self.spoken(edited)?), None))
            }
            Plan::Pass | Plan::Refuse(_) => {
                Ok(Prepared::Call(RewriteBody::collected(collected), None))
            }
        }
    }

    /// Leaves the facts and splices the mapped model; all other bytes stay.
    fn edit(&mut self, protocol: Protocol, mut collected: Collected) -> Result<Collected, Refusal> {
        if self.config.vendors_change {
            let vendor = self.upstream.vendor_tag();
            // A body that cannot be read is for the upstream to refuse.
            if let Ok(Some(opened)) = translate::open_envelopes(protocol, vendor, &collected.bytes)
            {
                drop_body_headers(&mut self.parts.headers);
                collected.bytes = opened.body.freeze();
                self.report = opened.report;
                self.check(&self.report)?;
            }
        }
        let plain = self.upstream.model_map().is_empty() && self.upstream.own_dialect().is_none();
        if plain && !self.exchange.is_limited() {
            self.exchange.update(passes_model);
            return Ok(collected);
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
        if let Edited::Changed(bytes) = edited {
            drop_body_headers(&mut self.parts.headers);
            collected.bytes = bytes;
        }
        Ok(collected)
    }

    /// The body in the upstream's dialect, where it has one.
    fn spoken(&mut self, mut collected: Collected) -> Result<Collected, Refusal> {
        if self.upstream.own_dialect().is_some() {
            drop_body_headers(&mut self.parts.headers);
            let mut body = BytesMut::from(collected.bytes);
            let mut report = std::mem::take(&mut self.report);
            self.speak(&mut body, &mut report)?;
            self.report = report;
            collected.bytes = body.freeze();
        }
        Ok(collected)
    }

    /// Passes a question for a count to an upstream of its own protocol. A clone may not have the
    /// endpoint, a dialect no word for it.
    fn count_there<B, C>(
        &mut self,
        protocol: Protocol,
        collected: Collected,
    ) -> Result<Prepared<B, C>, Refusal> {
        let counted = collected.bytes.clone();
        let edited = self.edit(protocol, collected)?;
        let Ok(spoken) = self.spoken(edited) else { return estimated(protocol, &counted) };
        let job = self.job(protocol, protocol, Wanted::Count, self.keeping());
        let job = Box::new(Job { counted, ..job });
        Ok(Prepared::Call(RewriteBody::collected(spoken), Some(job)))
    }

    fn translate(
        &mut self,
        from: Protocol,
        to: Protocol,
        body: &[u8],
    ) -> Result<(Bytes, Job), Refusal> {
        let translated =
            self.with_options(|options| translate::request(from, to, body, options))?;
        self.leave_facts(&translated)?;
        self.asked(from, to, translated, Wanted::Answer)
    }

    /// Asks the upstream to count, or answers with an estimate where it cannot.
    fn count<B, C>(
        &mut self,
        from: Protocol,
        to: Protocol,
        body: Bytes,
    ) -> Result<Prepared<B, C>, Refusal> {
        let counted =
            self.with_options(|options| translate::count_request(from, to, &body, options))?;
        match counted {
            CountRequest::Ask(translated) => {
                self.leave_facts(&translated)?;
                let asked = self.asked(from, to, *translated, Wanted::Count);
                let Ok((asked, job)) = asked else { return estimated(from, &body) };
                let job = Box::new(Job { counted: body, ..job });
                Ok(Prepared::Call(RewriteBody::full(asked), Some(job)))
            }
            CountRequest::Estimate { model, .. } => {
                let model = Some(model.as_str().into());
                self.leave(RequestFacts { model, ..RequestFacts::default() })?;
                estimated(from, &body)
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
                return Err(Refusal::new(FaultKind::NotFound, message).for_this_upstream());
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
        self.address(from, to, &endpoint)?;
        let wanted = Wanted::Models { one: asked.is_some() };
        let job = self.job(from, to, wanted, self.keeping());
        Ok(Prepared::Call(RewriteBody::full(Bytes::new()), Some(Box::new(job))))
    }

    fn keeping(&self) -> Keeping {
        Keeping::new(&self.config, &self.exchange, &self.upstream, &self.parts.headers)
    }

    fn with_options<T>(
        &self,
        translate: impl FnOnce(&RequestOptions<'_>) -> Result<T, TranslateError>,
    ) -> Result<T, Refusal> {
        let map_model = |model: &str| self.upstream.model_map().resolve(model).map(str::to_owned);
        let head = Head {
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
        };
        let keeping = self.keeping();
        let options = RequestOptions {
            head: Some(head),
            profiles: self.upstream.target_profiles(),
            mode: self.config.mode,
            map_model: &map_model,
            vendor: self.upstream.vendor_tag(),
            recall: &|call| keeping.recall(call),
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
        let keeping = self.keeping().within(translated.conversation());
        self.address(from, to, &translated.endpoint)?;
        let (mut body, mut report) = (translated.body, translated.report);
        self.speak(&mut body, &mut report)?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut answer = Answer::new(translated.model, created, fastrand::u64(..));
        answer.include_usage = translated.include_usage;
        answer.layout = translated.layout;
        answer.echo = translated.echo;
        answer.restore = translated.restore;
        answer.dialect = self.upstream.own_dialect().cloned();
        answer.vendor = self.upstream.vendor_tag();
        let job = self.job(from, to, wanted, keeping);
        let job = Job { stream: translated.stream, answer, report, ..job };
        Ok((body.freeze(), job))
    }

    fn job(&self, from: Protocol, to: Protocol, wanted: Wanted, keeping: Keeping) -> Job {
        let config = Arc::clone(&self.config);
        Job::new(from, to, wanted, self.notes(), keeping, config)
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
            .map_err(|error| Refusal::new(FaultKind::BadRequest, error.to_string()))
            .map_err(Refusal::for_this_upstream)?;
        self.check(report)
    }

    /// Refuses what the mode does not allow to be lost.
    fn check(&self, report: &TranslationReport) -> Result<(), Refusal> {
        match report.refused_by(self.config.mode) {
            Some(loss) => Err(bad_request(&TranslateError::Refused(loss.clone()))),
            None => Ok(()),
        }
    }

    /// Sends the request to its endpoint.
    fn address(
        &mut self,
        from: Protocol,
        to: Protocol,
        endpoint: &Endpoint,
    ) -> Result<(), Refusal> {
        let uri = self.upstream.uri_for(&endpoint.path, endpoint.query);
        self.parts.uri = uri.map_err(|_| plan::bad_path())?;
        headers::translate_request(&mut self.parts.headers, from, to);
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
