//! Who may ask without an access key: people and programs on this machine.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http::header;
use http::uri::Authority;

use super::refuse;
use crate::server::is_this_machine;
use crate::settings::Settings;

/// With an access key, its holders alone reach the routes. Without one, nobody does where
/// [`Settings::stats_are_open`] says no, and else those who name this machine in what they ask: a
/// page whose own name was made to point here names itself.
pub(super) fn guarded(settings: &Settings, router: Router) -> Router {
    if settings.access_key.is_some() {
        return router;
    }
    let open = settings.stats_are_open();
    router.route_layer(from_fn(move |request: Request, next: Next| async move {
        if open && names_this_machine(&request) { next.run(request).await } else { refuse().await }
    }))
}

/// In its `Host` and its URI: at least one of them tells, and none says otherwise.
fn names_this_machine(request: &Request) -> bool {
    let is_ours = |authority: &Authority| is_this_machine(authority.host());
    let of_uri = request.uri().authority().map(is_ours);
    let hosts = request.headers().get_all(header::HOST).iter();
    let hosts = hosts.map(|host| Authority::try_from(host.as_bytes()).is_ok_and(|a| is_ours(&a)));
    let mut named = of_uri.into_iter().chain(hosts).peekable();
    named.peek().is_some() && named.all(|ours| ours)
}
