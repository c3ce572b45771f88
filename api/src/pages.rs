//! Files of a page, served beside the API: each at its path, with an `ETag` and the headers that all of them have.

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its path, with the slash that it begins with.
    pub path: String,
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `ETag`, with quotes.
    pub etag: &'static str,
}

/// Serves these files, all with these headers too. They need no login.
pub fn pages(
    files: impl IntoIterator<Item = Page>,
    headers: &'static [(&'static str, &'static str)],
) -> Router {
    files.into_iter().fold(Router::new(), |router, page| {
        let path = page.path.clone();
        router.route(&path, get(async move |asked: HeaderMap| answer(&page, headers, &asked)))
    })
}

fn answer(page: &Page, headers: &[(&'static str, &'static str)], asked: &HeaderMap) -> Response {
    let known = asked.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|known| known.trim().trim_start_matches("W/") == page.etag);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(page.bytes).into_response(),
    };
    let all = headers.iter().map(|(name, value)| (HeaderName::from_static(name), *value));
    let own = [(CONTENT_TYPE, page.content_type), (ETAG, page.etag)];
    for (name, value) in all.chain(own) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
