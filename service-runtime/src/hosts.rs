//! The names that an HTTP endpoint answers to: no page of the web may speak to it by a name of its own (DNS rebinding), or from
//! another site.

use std::net::IpAddr;
use std::sync::Arc;

use crate::http::{Method, Request, Response, StatusCode};

/// Most names beside its own.
const NAMES_MAX: usize = 64;

/// An endpoint's names beside `localhost`, loopback addresses and the address that a connection came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    names: Arc<[String]>,
}

/// Why a request is not answered. Its text is the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// `Host` is none of the endpoint's names.
    #[error(
        "{0:?} is no name of this endpoint. If it is one, add it to the setting that names its hosts (admin_hosts)."
    )]
    Host(String),
    /// `Origin` is another site's.
    #[error("a page of {0:?} may not ask this endpoint: only its own pages may.")]
    Origin(String),
    /// A browser says that a page of another site sends it (`Sec-Fetch-Site`).
    #[error("a page of another site may not ask this endpoint: only its own pages may.")]
    Site,
}

impl Foreign {
    /// The name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Origin(_) | Self::Site => "origin",
        }
    }

    /// Returns the answer: 421 for a host, 403 for another site.
    pub fn response(&self) -> Response {
        let status = match self {
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::Site => StatusCode::FORBIDDEN,
        };
        Response::text(status, format!("{self}\n"))
    }
}

impl Hosts {
    /// Takes further names: host names or addresses, without scheme, port and path.
    ///
    /// # Errors
    /// Which one is not a name, or that there are more than 64.
    pub fn new(names: &[String]) -> Result<Self, String> {
        if names.len() > NAMES_MAX {
            return Err(format!("has more than {NAMES_MAX} names"));
        }
        let names = names.iter().map(|name| {
            let plain = name.trim_start_matches('[').trim_end_matches(']');
            let known = plain.parse::<IpAddr>().is_ok() || is_name(plain);
            known.then(|| normal(plain)).ok_or_else(|| {
                format!("{name:?} is not a host name: give it as in tidemark.example.org, without scheme and port")
            })
        });
        Ok(Self { names: names.collect::<Result<_, _>>()? })
    }

    /// Tells whether a request is for this endpoint and from a page of its own, or from no page.
    ///
    /// A request without `Host` passes: browsers always send one.
    ///
    /// # Errors
    /// What is foreign about it.
    pub fn check(&self, request: &Request) -> Result<(), Foreign> {
        if let Some(host) = &request.host
            && !self.is_own(name_of(host), request.local.ip())
        {
            return Err(Foreign::Host(shown(host)));
        }
        if let Some(site) = &request.fetch_site
            && !matches!(site.as_str(), "same-origin" | "none")
            && !leads_here(request)
        {
            return Err(Foreign::Site);
        }
        let Some(origin) = &request.origin else { return Ok(()) };
        // Another port of the same machine is another site, unless a proxy with one of the names stands before it.
        let from = origin.split_once("://").map(|(_, from)| from);
        let is_same = from.is_some() && from == request.host.as_deref();
        if is_same || from.is_some_and(|from| self.is_named(name_of(from))) {
            return Ok(());
        }
        Err(Foreign::Origin(shown(origin)))
    }

    fn is_own(&self, name: &str, local: IpAddr) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == local.to_canonical() || self.is_named(name);
        }
        normal(name) == "localhost" || self.is_named(name)
    }

    fn is_named(&self, name: &str) -> bool {
        let name = normal(name);
        self.names.contains(&name)
    }
}

/// Tells whether a person follows a link: the page that has it cannot read what comes.
fn leads_here(request: &Request) -> bool {
    request.method == Method::GET && request.fetch_mode.as_deref() == Some("navigate")
}

/// Returns the name in `name:port` or `[address]:port`.
fn name_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

/// Writes a name as names are compared: without the final dot, in lower case; an address in its shortest form.
fn normal(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// A header for an answer or a log line: it comes from anybody.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::HeaderMap;

    use super::*;

    fn check(hosts: &Hosts, host: Option<&str>, origin: Option<&str>) -> Option<&'static str> {
        let request = Request {
            method: Method::GET,
            path: "/status".into(),
            query: String::new(),
            host: host.map(str::to_owned),
            origin: origin.map(str::to_owned),
            fetch_site: None,
            fetch_mode: None,
            local: ([192, 0, 2, 7], 8080).into(),
            peer: ([192, 0, 2, 8], 5000).into(),
            headers: HeaderMap::new(),
            authorization: None,
            content_type: None,
            body: Bytes::new(),
        };
        hosts.check(&request).err().map(|foreign| foreign.reason())
    }

    #[test]
    fn an_endpoint_answers_to_its_own_names_and_addresses_only() {
        let names = ["Tidemark.example.org".to_owned(), "10.9.8.7".to_owned()];
        let hosts = Hosts::new(&names).unwrap();
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:80",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "192.0.2.7:8080",
            "tidemark.example.org",
            "tidemark.example.org.:8443",
            "10.9.8.7:1",
        ] {
            assert_eq!(check(&hosts, Some(own), None), None, "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:127.0.0.1",
            "192.0.2.8",
            "[2001:db8::1]:80",
            "",
            ":8080",
            "x, localhost",
        ] {
            assert_eq!(check(&hosts, Some(foreign), None), Some("host"), "{foreign}");
        }
        assert_eq!(check(&hosts, None, None), None, "no browser sends none");
        assert_eq!(check(&Hosts::default(), Some("tidemark.example.org"), None), Some("host"));
    }

    #[test]
    fn pages_of_other_sites_are_not_answered() {
        let hosts = Hosts::new(&["tidemark.example.org".to_owned()]).unwrap();
        let host = Some("127.0.0.1:8080");
        assert_eq!(check(&hosts, host, Some("http://127.0.0.1:8080")), None);
        assert_eq!(check(&hosts, host, Some("https://tidemark.example.org")), None);
        for foreign in [
            "http://evil.example",
            "http://127.0.0.1:3000",
            "http://localhost:8080",
            "null",
            "",
            "127.0.0.1:8080",
        ] {
            assert_eq!(check(&hosts, host, Some(foreign)), Some("origin"), "{foreign}");
        }
        assert_eq!(check(&hosts, None, Some("http://evil.example")), Some("origin"));
    }

    #[test]
    fn what_is_not_a_name_is_refused_at_the_start() {
        for bad in ["", "http://x", "x:80", "x/y", "*", "a b", "ü"] {
            assert!(Hosts::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(Hosts::new(&["[::1]".to_owned(), "::2".to_owned()]).is_ok());
        assert!(Hosts::new(&vec!["a".to_owned(); NAMES_MAX + 1]).is_err());
    }

    #[test]
    fn what_a_client_sent_is_shortened_in_the_answer() {
        let host = format!("evil\u{1b}[31m{}", "x".repeat(1000));
        let Err(foreign) = Hosts::default().check(&Request {
            method: Method::GET,
            path: "/".into(),
            query: String::new(),
            host: Some(host),
            origin: None,
            fetch_site: None,
            fetch_mode: None,
            local: ([127, 0, 0, 1], 1).into(),
            peer: ([127, 0, 0, 1], 2).into(),
            headers: HeaderMap::new(),
            authorization: None,
            content_type: None,
            body: Bytes::new(),
        }) else {
            panic!("answered");
        };
        let text = foreign.to_string();
        assert!(text.len() < 300 && !text.contains('\u{1b}') && text.contains("admin_hosts"));
    }
}
