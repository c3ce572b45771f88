//! The stream `status`: `{"ts"?, "status": text, "battery"?, "firmware"?, "boot"?, "seq"?, "detail"?: any JSON}`.

use super::json::{self, Given};
use super::readings::event_time;
use super::reject::{Code, Reject};
use crate::batch::flags::Flags;
use crate::batch::readings::{ABSENT, Origin};
use crate::batch::small::Cell;
use crate::batch::{Batch, Target};
use telemetry_core::catalog::{self, Verdict};

/// The value of the column `protocol`.
const PROTOCOL: &str = "status-json";

pub(super) fn decode(batch: &mut Batch, origin: &Origin, text: &str) -> Result<(), Reject> {
    let object = json::parse_object(text)?;
    let member = |name: &str| Given::of(object.get(name));
    let Some(status) =
        member("status").optional_text("status")?.filter(|status| !status.is_empty())
    else {
        return Err(Reject::new(Code::ValueMissing, "a status report has no `status`"));
    };
    let (boot, seq) = (member("boot").optional_int("boot")?, member("seq").optional_int("seq")?);
    let firmware = member("firmware").optional_text("firmware")?;
    let (event_us, device_us, mut flags) = event_time(member("ts"), origin.received_us);
    let mut battery = member("battery").optional_number("battery")?;
    match battery.map(|level| catalog::judge(catalog::metric("battery"), level)) {
        Some(Verdict::Sentinel) => {
            flags |= Flags::SENTINEL;
            battery = None;
        }
        Some(Verdict::OutOfRange) => flags |= Flags::OUT_OF_RANGE,
        _ => {}
    }
    flags |= origin.flags();
    if !batch.admits(Target::Status, event_us) {
        flags |= Flags::DATE_OF_LANDING;
    }
    let detail = object.get("detail").filter(|detail| !detail.is_null()).map(ToString::to_string);
    let flags = flags.text();
    let (site, device) = batch.devices.names(origin.device);
    let (site, device) = (site.to_owned(), device.to_owned());
    let cells = [
        Cell::Time(event_us),
        Cell::time((device_us != ABSENT).then_some(device_us)),
        Cell::Time(origin.received_us),
        Cell::Text(&site),
        Cell::Text(&device),
        Cell::Text(status),
        Cell::double(battery),
        Cell::text(firmware),
        Cell::text(detail.as_deref()),
        Cell::text(flags.as_deref()),
        Cell::long(boot),
        Cell::long(seq),
        Cell::Text(PROTOCOL),
    ];
    Ok(batch.push_small(Target::Status, origin, 0, event_us, &cells)?)
}
