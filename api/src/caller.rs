//! Who asks, and what they may: the admin token, an identity of MQTT by its password or token, or whoever is on this machine where
//! nothing is asked for.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gateway::access::{Denied, Identity};
use service_runtime::application::{Caller, Proof};

use crate::error::Error;
use crate::role::{Right, Role};
use crate::state::Api;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    /// What it rests on, if that can end.
    identity: Option<Arc<Identity>>,
}

impl Who {
    fn admin(name: &str) -> Self {
        Self { name: name.into(), role: Role::Admin, identity: None }
    }

    pub(crate) fn may(&self, right: Right) -> bool {
        self.role.rights().contains(&right)
    }

    /// # Errors
    /// 403 where they may not.
    pub(crate) fn must(&self, right: Right) -> Result<(), Error> {
        self.may(right).then_some(()).ok_or(Error::NotAllowed { role: self.role, right })
    }

    /// Whether they would still be let in.
    pub(crate) fn still_holds(&self, api: &Api) -> bool {
        let gateway = api.parts().gateway.as_ref();
        let holds = |identity| gateway.is_some_and(|gateway| gateway.still_holds(identity));
        self.identity.as_deref().is_none_or(holds)
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::LoginNeeded { page: false })
    }
}

/// Lets in whom it knows, as often as they may ask.
pub(crate) async fn admit(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let caller = request.extensions().get::<Caller>().copied();
    let nowhere = Caller { peer: ([0, 0, 0, 0], 0).into(), proof: Proof::Missing };
    let caller = caller.unwrap_or(nowhere);
    match identify(&api, caller, request.headers()).await {
        Ok(who) => {
            api.throttle().take(&format!("{}@{}", who.name, caller.peer.ip()), api.now())?;
            request.extensions_mut().insert(who);
        }
        Err(error) => {
            api.throttle().take(&format!("@{}", caller.peer.ip()), api.now())?;
            return Err(error);
        }
    }
    Ok(next.run(request).await)
}

/// What is offered as a login.
enum Offer {
    Basic { name: String, password: Vec<u8> },
    Bearer(Vec<u8>),
}

async fn identify(api: &Api, caller: Caller, headers: &HeaderMap) -> Result<Who, Error> {
    if caller.proof == Proof::Token {
        return Ok(Who::admin("admin"));
    }
    // A script can ask for a login by itself; a browser that shows a page should.
    let page = headers.get("sec-fetch-mode").is_none_or(|mode| mode.as_bytes() != b"cors");
    let Some(offer) = offered(headers) else {
        return match caller.proof {
            Proof::NotNeeded if !headers.contains_key(header::AUTHORIZATION) => {
                Ok(Who::admin("local"))
            }
            _ => Err(Error::LoginNeeded { page }),
        };
    };
    let Some(gateway) = &api.parts().gateway else {
        return Err(Error::TokenNeeded);
    };
    let (name, password) = match &offer {
        Offer::Basic { name, password } => (Some(name.as_str()), password),
        Offer::Bearer(token) => (None, token),
    };
    let identity = gateway
        .log_in(caller.peer, name, password)
        .await
        .map_err(|denied| refused(&denied, page))?;
    known(api, identity)
}

fn known(api: &Api, identity: Identity) -> Result<Who, Error> {
    let name: Arc<str> = identity.name().into();
    match api.parts().config.role_of(&name) {
        Some(role) => Ok(Who { name, role, identity: Some(Arc::new(identity)) }),
        None => Err(Error::NoRole { name: name.to_string() }),
    }
}

fn refused(denied: &Denied, page: bool) -> Error {
    match denied {
        Denied::Throttled { wait } => Error::TooOften { wait_s: wait.as_secs().max(1) },
        Denied::Crowded => Error::TooOften { wait_s: 1 },
        _ => Error::LoginNeeded { page },
    }
}

fn offered(headers: &HeaderMap) -> Option<Offer> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Offer::Bearer(rest.trim().as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let both = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = both.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&both[..colon]).ok()?.to_owned();
    Some(Offer::Basic { name, password: both[colon + 1..].to_vec() })
}
