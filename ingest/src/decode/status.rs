//! The stream `status`: `{"ts"?, "status": text, "battery"?, "firmware"?, "boot"?, "seq"?, "detail"?: any JSON, …}`. What has no
//! column is kept in `extra`.

use super::object::Object;
use super::reject::{Code, Reject};
use crate::batch::flags::Flags;
use crate::batch::readings::{ABSENT, Origin};
use crate::batch::small::{Cell, Misfit};
use crate::batch::{Batch, Target};
use crate::decode::json;
use crate::decode::json::wrong_type;
use lake::schema::DEVICE_STATUS;
use telemetry_core::catalog::{self, Verdict};

/// The value of the column `protocol`.
const PROTOCOL: &str = "status-json";

pub(super) fn decode(batch: &mut Batch, origin: &Origin, text: &str) -> Result<(), Reject> {
    let mut report = Object::read(text)?;
    let status = match report.take("status") {
        None | Some("null" | "\"\"") => {
            return Err(Reject::new(Code::ValueMissing, "a status report has no `status`"));
        }
        Some(raw) => json::text(raw).ok_or_else(|| wrong_type("status", "a text"))?,
    };
    let (boot, seq) = (report.int("boot"), report.int("seq"));
    let firmware = report.text("firmware");
    let (event_us, device_us, mut flags) = report.time(origin.received_us);
    let mut battery = report.number("battery");
    match battery.map(|level| catalog::judge(catalog::metric("battery"), level)) {
        Some(Verdict::Sentinel) => {
            flags |= Flags::SENTINEL;
            battery = None;
        }
        Some(Verdict::OutOfRange) => flags |= Flags::OUT_OF_RANGE,
        _ => {}
    }
    let detail = report.take("detail").filter(|detail| *detail != "null");
    flags |= origin.flags() | report.flags;
    if !batch.admits(Target::Status, event_us) {
        flags |= Flags::DATE_OF_LANDING;
    }
    let extra = report.rest().text(DEVICE_STATUS.name, None);
    if extra.is_err() {
        flags |= Flags::EXTRA_TOO_LONG;
    }
    let kept = extra.as_ref().ok().and_then(Option::as_deref);
    let flags = flags.text();
    let (site, device) = batch.devices.names(origin.device);
    let (site, device) = (site.to_owned(), device.to_owned());
    let cells = [
        Cell::Time(event_us),
        Cell::time((device_us != ABSENT).then_some(device_us)),
        Cell::Time(origin.received_us),
        Cell::Text(&site),
        Cell::Text(&device),
        Cell::Text(&status),
        Cell::double(battery),
        Cell::text(firmware.as_deref()),
        Cell::text(detail),
        Cell::text(flags.as_deref()),
        Cell::text(kept),
        Cell::long(boot),
        Cell::long(seq),
        Cell::Text(PROTOCOL),
    ];
    batch.push_small(Target::Status, origin, 0, event_us, &cells)?;
    // The row is there; the dead letter has what it could not take.
    extra.map(drop).map_err(Misfit::into)
}
