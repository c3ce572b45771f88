//! The addresses that services listen on: free, or theirs already.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use service_runtime::http::{self, Method, StatusCode};

use super::Service;
use super::finding::Finding;
use crate::config::Everything;

/// How long whoever has the admin address may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at each address that the service would listen on.
pub(super) async fn look(everything: &Everything, service: Service, findings: &mut Vec<Finding>) {
    let (admin, addresses) = of(everything, service);
    let runs = answers(admin).await;
    for (setting, address) in addresses {
        findings.push(told(setting, address, bind(address), runs));
    }
}

/// The admin address, and all with the settings that they come from.
fn of(everything: &Everything, service: Service) -> (SocketAddr, Vec<(&'static str, SocketAddr)>) {
    let mut addresses = Vec::new();
    let admin = match service {
        Service::Up | Service::Gateway => {
            let listeners = everything.gateway.all_listeners();
            addresses.extend(listeners.iter().map(|listener| ("gateway.listen", listener.listen)));
            everything.gateway.admin_listen
        }
        Service::Ingest => everything.ingest.admin_listen,
        Service::Agent => {
            let http = everything.agent.inputs.http_listen;
            addresses.extend(http.map(|address| ("agent.inputs.http_listen", address)));
            everything.agent.admin_listen
        }
    };
    addresses.push(("admin_listen", admin));
    (admin, addresses)
}

/// Tells whether one of ours answers there.
async fn answers(admin: SocketAddr) -> bool {
    let asked = http::call_as(admin, None, Method::GET, "/healthz", Bytes::new(), PATIENCE).await;
    asked.is_ok_and(|(status, _)| status == StatusCode::OK)
}

fn bind(address: SocketAddr) -> Result<(), ErrorKind> {
    TcpListener::bind(address).map(drop).map_err(|error| error.kind())
}

fn told(setting: &str, address: SocketAddr, bound: Result<(), ErrorKind>, runs: bool) -> Finding {
    let what = "port";
    match bound {
        Ok(()) => Finding::ok(what, format!("{address} ({setting}) is free")),
        Err(ErrorKind::AddrInUse) if runs => {
            Finding::ok(what, format!("{address} ({setting}) is in use by the service that runs"))
        }
        Err(ErrorKind::AddrInUse) => Finding::bad(
            what,
            format!("{address} ({setting}) is taken by another program"),
            &format!(
                "end it (`ss -ltnp 'sport = :{}'` names it), or change {setting}",
                address.port()
            ),
        ),
        Err(ErrorKind::PermissionDenied) => Finding::bad(
            what,
            format!("{address} ({setting}) needs a right that this user does not have"),
            "choose a port above 1023, or give the service CAP_NET_BIND_SERVICE",
        ),
        Err(ErrorKind::AddrNotAvailable) => Finding::bad(
            what,
            format!("{address} ({setting}) is no address of this machine"),
            "`ip address` lists them; 0.0.0.0 and [::] are all of them",
        ),
        Err(other) => Finding::bad(what, format!("{address} ({setting}): {other}"), "change it"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_port_is_free_ours_or_anothers() {
        let address = ([127, 0, 0, 1], 1883).into();
        let verdict = |bound, runs| told("gateway.listen", address, bound, runs).verdict;
        assert_eq!(verdict(Ok(()), false), Verdict::Ok);
        assert_eq!(verdict(Err(ErrorKind::AddrInUse), true), Verdict::Ok);
        assert_eq!(verdict(Err(ErrorKind::AddrInUse), false), Verdict::Bad);
        assert_eq!(verdict(Err(ErrorKind::PermissionDenied), false), Verdict::Bad);
        assert_eq!(verdict(Err(ErrorKind::AddrNotAvailable), true), Verdict::Bad);
    }

    #[test]
    fn a_port_that_somebody_has_is_seen() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert_eq!(bind(taken.local_addr().unwrap()), Err(ErrorKind::AddrInUse));
    }
}
