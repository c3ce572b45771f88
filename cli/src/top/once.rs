//! The overview as plain text, for scripts.

use super::answers::{Alerts, Overview};
use super::troubles::{Wrong, wrong};
use super::words::{plural, rate, span};
use crate::print::grouped;

/// The text, and whether nothing is wrong.
pub(crate) fn told(target: &str, now: &Overview, alerts: Option<&Alerts>) -> (String, bool) {
    let mut out = String::new();
    let mut line = |label: &str, text: String| {
        out += &format!("{label:14}{text}\n");
    };
    let worker = now.worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
    line("tidemark", format!("{} at {target}{worker}, {}", now.version, now.time));
    line("messages", format!("{}/s", rate(now.rates.messages_per_s)));
    let landings = rate(now.rates.landings_per_min);
    line("rows", format!("{}/s, {landings} landings a minute", rate(now.rates.rows_per_s)));
    let waiting =
        now.lag.messages.map_or("unknown".into(), |count| plural(count, "message", "messages"));
    let oldest = now.lag.oldest_s.map(|s| format!(", the oldest waits {}", span(s)));
    line("lag", waiting + &oldest.unwrap_or_default());
    let (devices, totals, letters) = (now.devices, now.alerts, now.dead_letters);
    let [online, silent, unknown] = [devices.online, devices.silent, devices.unknown].map(grouped);
    line("devices", format!("{online} online, {silent} silent, {unknown} unknown"));
    line("sources", now.sources.map_or("unknown here".into(), grouped));
    let [firing, acknowledged, silenced, pending] =
        [totals.firing, totals.acknowledged, totals.silenced, totals.pending].map(grouped);
    line(
        "alerts",
        format!(
            "{firing} firing, {acknowledged} acknowledged, {silenced} silenced, {pending} pending"
        ),
    );
    let (hour, total) = (grouped(letters.last_hour), grouped(letters.total));
    line("dead letters", format!("{hour} in the last hour, {total} since the start"));
    let all = wrong(now, alerts);
    if all.is_empty() {
        line("all is well", "every part can work, no alert fires, no limit is near".into());
    }
    for Wrong { severity, what, remedy, since } in &all {
        let since = since.as_ref().map(|since| format!(" (since {since})")).unwrap_or_default();
        line(severity, format!("{what}{since}"));
        if !remedy.is_empty() {
            line("", format!("→ {remedy}"));
        }
    }
    (out, all.is_empty())
}
