//! The stream `status`: `{"ts"?, "status": text, "battery"?, "firmware"?, "boot"?, "seq"?, "detail"?: any JSON, …}`. What has no
//! column is kept in `extra`.

use lake::tables::device_status;
use telemetry_core::catalog::{self, Verdict};

use super::json::{self, wrong_type};
use super::object::Object;
use super::plain_settings::Manner;
use super::reject::{Code, Reject};
use super::{Decoder, Message, Spec};
use crate::batch::flags::Flags;
use crate::batch::readings::ABSENT;
use crate::batch::{Misfit, Row, Rows};
use crate::columns;

/// The value of the column `protocol`.
const PROTOCOL: &str = "status-json";

pub(super) const SPEC: Spec = Spec {
    name: "status",
    about: "one JSON object with `status`: a birth, a death, a heartbeat, a battery report",
    build: |settings, layout| {
        let (columns, manner) = (Columns::of(layout)?, Manner::of(settings)?);
        Ok(Box::new(Status { columns, manner }))
    },
};

columns! {
    pub(super) struct Columns of device_status::NAME {
        event_ts: Time,
        device_ts: Time,
        site: Text,
        device_id: Text,
        status: Text,
        battery: Double,
        firmware: Text,
        detail: Text,
        flags: Text,
        extra: Text,
        boot_id: Long,
        seq: Long,
        protocol: Text,
        time_text: Text,
    }
}

#[derive(Debug)]
struct Status {
    columns: Columns,
    manner: Manner,
}

impl Decoder for Status {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        self.report(&message.text()?, rows)
    }
}

impl Status {
    fn report(&self, text: &str, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let columns = &self.columns;
        let mut report = Object::read(text)?;
        let status = match report.take("status") {
            None | Some("null" | "\"\"") => {
                return Err(Reject::new(Code::ValueMissing, "a status report has no `status`"));
            }
            Some(raw) => json::text(raw).ok_or_else(|| wrong_type("status", "a text"))?,
        };
        let (boot, seq) = (report.int("boot"), report.int("seq"));
        let firmware = report.text("firmware");
        let ((event_us, device_us, mut flags), time_text) =
            report.time(&self.manner.clock, rows.origin().received_us);
        let numbers = (boot.unwrap_or(ABSENT), seq.unwrap_or(ABSENT));
        let (event_us, known) = rows.remembering().object(numbers, (event_us, device_us, flags));
        flags = known;

        let said = report.raw("battery");
        let mut battery = report.number("battery");
        let mut sentinel = None;
        let known = catalog::metric("battery");
        let judged =
            battery.zip(known).map(|(level, known)| catalog::judge(known, Some(level), level));
        match judged {
            Some(Verdict::Sentinel) => {
                flags |= Flags::SENTINEL;
                battery = None;
                sentinel = said;
            }
            Some(Verdict::OutOfRange) => flags |= Flags::OUT_OF_RANGE,
            _ => {}
        }
        let detail = report.take("detail").filter(|detail| *detail != "null");
        flags |= rows.origin().flags() | report.flags | rows.dated(&columns.table, event_us);
        let mut rest = report.rest();
        if let Some(said) = sentinel {
            rest.add("battery", said);
        }
        let extra = rest.text(device_status::NAME, None);
        if extra.is_err() {
            flags |= Flags::EXTRA_TOO_LONG;
        }
        let kept = extra.as_ref().ok().and_then(Option::as_deref);
        let flags = flags.text();
        let (site, device) = rows.device();
        let (site, device) = (site.to_owned(), device.to_owned());
        let mut row = Row::new(&columns.table, event_us);
        row.set(columns.event_ts, event_us)
            .set(columns.device_ts, (device_us != ABSENT).then_some(device_us))
            .set(columns.site, &*site)
            .set(columns.device_id, &*device)
            .set(columns.status, &*status)
            .set(columns.battery, battery)
            .set(columns.firmware, firmware.as_deref())
            .set(columns.detail, detail)
            .set(columns.flags, flags.as_deref())
            .set(columns.extra, kept)
            .set(columns.boot_id, boot)
            .set(columns.seq, seq)
            .set(columns.protocol, PROTOCOL)
            .set(columns.time_text, time_text.as_deref());
        rows.add(row)?;
        // The row is there; the dead letter has what it could not take.
        extra.map(drop).map_err(Misfit::into)
    }
}
