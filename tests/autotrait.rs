//! Public types keep the auto traits that servers and clients need of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use bytes::Bytes;
use http_body_util::Full;
use tower_llm_gateway::body::{Collect, GuardBody, RewriteBody};
use tower_llm_gateway::context::{Exchange, Principal, Upstream};
use tower_llm_gateway::layer::{
    api_key_auth::ApiKeyAuth, catch_error::CatchError, channel, failover,
    hop_by_hop::HopByHopFilter, key_pool, limit, live_log, otel, provider_translate, request_log,
    stats, system_prompt,
};
use tower_llm_gateway::protocol::report::TranslationReport;
use tower_llm_gateway::protocol::translate::Transcoder;
use tower_llm_gateway::upstream::HttpUpstream;
use tower_llm_gateway::*;

type Plain = Full<Bytes>;

fn service<T: Clone + Send + Sync + Unpin>() {}
fn value<T: Send + Sync + Unpin>() {}

#[test]
fn layers_and_services() {
    service::<ApiKeyAuthLayer>();
    service::<CatchErrorLayer>();
    service::<ChannelLayer>();
    service::<FailoverLayer>();
    service::<HopByHopFilterLayer>();
    service::<KeyPoolLayer>();
    service::<LimitLayer>();
    service::<OtelLayer>();
    service::<LiveLogLayer>();
    service::<ProviderTranslateLayer>();
    service::<RequestLogLayer>();
    service::<StatsLayer>();
    service::<SystemPromptLayer>();
    service::<ApiKeyAuth<(), ()>>();
    service::<CatchError<()>>();
    service::<channel::ChannelService<()>>();
    service::<failover::Failover<()>>();
    service::<HopByHopFilter<()>>();
    service::<key_pool::KeyPoolService<()>>();
    service::<key_pool::KeyPool>();
    service::<key_pool::KeyPools>();
    service::<limit::Limit<()>>();
    service::<otel::OtelService<()>>();
    service::<otel::Otel>();
    service::<otel::OtelCallLayer>();
    service::<otel::OtelCall<()>>();
    service::<live_log::LiveLogService<()>>();
    service::<provider_translate::ProviderTranslate<()>>();
    service::<request_log::RequestLogService<()>>();
    service::<request_log::RequestLog>();
    service::<stats::StatsService<()>>();
    service::<system_prompt::SystemPrompt<()>>();
    service::<HttpUpstream<Plain>>();
}

#[test]
fn bodies_are_unpin_when_the_inner_is() {
    value::<RewriteBody<Plain>>();
    value::<Collect<Plain>>();
    value::<GuardBody<Plain>>();
    value::<live_log::LogBody>();
    value::<limit::LimitedBody<Plain>>();
    value::<limit::ResponseBody<Plain>>();
    value::<provider_translate::ResponseBody<Plain>>();
    value::<key_pool::ResponseBody<Plain>>();
}

#[test]
fn values() {
    value::<Exchange>();
    value::<Principal>();
    value::<Upstream>();
    value::<request_log::RequestLogWorker>();
    value::<store::MemoryRequestLog>();
    value::<store::SqlStore>();
    value::<store::SqlWorker>();
    value::<Transcoder>();
    value::<TranslationReport>();
    value::<stats::Stats>();
    value::<otel::Open>();
    value::<stats::prometheus::StatsCollector>();
    value::<key_pool::Lease>();
    value::<channel::Channels>();
    value::<channel::Channel>();
    value::<limit::Limits>();
    value::<live_log::LiveLog>();
    value::<live_log::Subscription>();
}
