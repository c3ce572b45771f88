//! When the certificates that a connection rests on end, as metrics.

use service_runtime::{Clock, Metrics};

use crate::Broker;

/// Adds `{prefix}_expiry_seconds_left` for a broker's `link`: of each file the certificate that ends first, as it was at the start, for
/// that is what the connection goes on with. Without TLS there is nothing to add.
pub fn register(
    metrics: &Metrics,
    prefix: &str,
    clock: Clock,
    brokers: impl IntoIterator<Item = (&'static str, Broker)>,
) {
    let ends: Vec<_> = brokers
        .into_iter()
        .flat_map(|(link, broker)| {
            broker.ends().into_iter().map(move |(what, at)| (link, what, at))
        })
        .collect();
    if ends.is_empty() {
        return;
    }
    metrics.observe(prefix, move |facts| {
        let now_s = clock.now_us().div_euclid(1_000_000);
        let left = ends.iter().map(|(link, what, at)| {
            ([("link", *link), ("what", *what)], at.saturating_sub(now_s))
        });
        let help = "Seconds until the first certificate of a kind ends that a link rests on; below 0: it has";
        facts.gauges("expiry_seconds_left", help, left)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_a_link_rests_on_is_told_and_files_that_cannot_be_read_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for (name, year) in [("ca.pem", 2060), ("own.pem", 2059)] {
            let mut wish = rcgen::CertificateParams::new(["x".to_owned()]).unwrap();
            wish.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            std::fs::write(file(name), wish.self_signed(&key).unwrap().pem()).unwrap();
        }
        let (ca, own, gone) = (file("ca.pem"), file("own.pem"), file("gone.pem"));
        let broker = |ca, own| Broker {
            tls: true,
            ca_file: Some(ca),
            cert_file: Some(own),
            ..Broker::default()
        };
        let metrics = Metrics::default();
        let uplink = broker(ca.clone(), own);
        let input = broker(ca, gone);
        let links = [("uplink", uplink), ("mqtt input", input), ("plain", Broker::default())];
        register(&metrics, "agent", Clock::default(), links);
        let text = metrics.render();
        let lines = text.lines().filter(|line| line.starts_with("agent_expiry_seconds_left{"));
        let lines: Vec<_> = lines.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let prefix = "agent_expiry_seconds_left{link=";
        assert_eq!(
            lines,
            [
                format!(r#"{prefix}"uplink",what="broker_authority"}}"#),
                format!(r#"{prefix}"uplink",what="client_certificate"}}"#),
                format!(r#"{prefix}"mqtt input",what="broker_authority"}}"#),
            ]
        );
    }
}
