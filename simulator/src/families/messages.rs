//! What a message of each family says, and what must become of each part of it. Written by the documents of the vendors.

use super::now::{Now, eui, mac, short};
use super::telling::{Part, Said, Telling};
use super::unknown::Naming;

pub(super) fn zigbee2mqtt(now: &Now<'_>, say: &mut Telling) -> String {
    let on = now.power > 1.0;
    let state = if on { "ON" } else { "OFF" };
    say.at(now.event);
    say.mark("{");
    say.reading("energy", now.meter(), "energy", Some("kW.h"));
    say.silent("last_seen", &now.rfc3339());
    say.reading("power", Said::Number(now.power), "power", Some("W"));
    say.reading("state", Said::Word(state.into(), f64::from(u8::from(on))), "state", None);
    say.aside(
        Part::Beside,
        "update",
        "update",
        r#"{"installed_version":587744776,"state":"idle"}"#,
    );
    say.reading("linkquality", Said::Number(120.0), "linkquality", None);
    say.reading("child_lock", Said::Text("UNLOCK".into()), "child_lock", None);
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    format!("zigbee2mqtt/{}", now.own)
}

/// The state is a text, also where it is a number.
pub(super) fn home_assistant(now: &Now<'_>, say: &mut Telling) -> String {
    let digits = now.digits();
    say.bare(
        &format!("\"{digits}\""),
        "state",
        Said::Word(digits.clone(), digits.parse().unwrap_or(f64::NAN)),
        None,
    );
    format!("homeassistant/sensor/{}/state", now.own)
}

pub(super) fn tasmota(now: &Now<'_>, say: &mut Telling) -> String {
    let local = now.time().format("\"%Y-%m-%dT%H:%M:%S\"").to_string();
    say.at(now.whole_second());
    say.mark("{");
    say.aside(Part::Beside, "Time", "Time", &local);
    say.silent("Epoch", &now.ms.div_euclid(1000).to_string());
    say.object("ENERGY", |say| {
        let (start, path) = ("\"2025-11-14T18:39:40\"", "ENERGY.TotalStartTime");
        say.aside(Part::Beside, "TotalStartTime", path, start);
        say.reading("Total", now.meter(), "energy_total", Some("kW.h"));
        say.reading("Power", Said::Number(now.power), "power", Some("W"));
        say.reading("Factor", Said::Digits("0.95".into()), "power_factor", None);
        say.name("Voltage");
        say.mark("[");
        say.element(Said::Digits("230".into()), "voltage_0", Some("V"));
        say.element(Said::Digits("231.5".into()), "voltage_1", Some("V"));
        say.mark("]");
    });
    say.object("ESP32", |say| {
        say.reading("Temperature", now.degrees(), "chip_temperature", Some("Cel"));
    });
    // The unit of what came before it.
    say.aside(Part::Unit, "TempUnit", "TempUnit", "\"C\"");
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    format!("tele/{}/SENSOR", now.own)
}

/// How the device itself is.
pub(super) fn tasmota_state(now: &Now<'_>, say: &mut Telling) -> String {
    let local = now.time().format("\"%Y-%m-%dT%H:%M:%S\"").to_string();
    let on = now.power > 1.0;
    let power = if on { "ON" } else { "OFF" };
    say.at(now.whole_second());
    say.mark("{");
    say.aside(Part::Beside, "Time", "Time", &local);
    say.silent("Epoch", &now.ms.div_euclid(1000).to_string());
    say.aside(Part::Beside, "Uptime", "Uptime", "\"1T02:03:04\"");
    say.reading("UptimeSec", Said::Digits(now.meter.to_string()), "uptime", Some("s"));
    say.reading("Heap", Said::Number(27.0), "heap", Some("KiBy"));
    say.reading("POWER", Said::Word(power.into(), f64::from(u8::from(on))), "relay", None);
    say.object("Wifi", |say| {
        say.aside(Part::Beside, "SSId", "Wifi.SSId", "\"home\"");
        say.reading("RSSI", Said::Number(100.0), "wifi_quality", Some("%"));
        // The catalogue's unit is dB over a watt, of which a milliwatt has 30 less.
        say.converted("Signal", "-50", Said::Number(-80.0), "rssi", Some("dB[W]"));
    });
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    format!("tele/{}/STATE", now.own)
}

pub(super) fn shelly(now: &Now<'_>, say: &mut Telling) -> String {
    let path = |rest: &str| format!("switch:0.{rest}");
    say.mark("{");
    say.aside(Part::Beside, "id", &path("id"), "0");
    say.aside(Part::Beside, "source", &path("source"), "\"init\"");
    say.object("aenergy", |say| {
        say.reading("total", now.meter(), "switch_0_energy", Some("W.h"));
        say.aside(Part::Beside, "by_minute", &path("aenergy.by_minute"), "[0.0,12.5,0.0]");
        let minute = now.ms.div_euclid(60_000) * 60;
        say.aside(Part::Beside, "minute_ts", &path("aenergy.minute_ts"), &minute.to_string());
    });
    say.reading("output", Said::Truth(now.power > 1.0), "switch_0_output", None);
    say.reading("apower", Said::Number(now.power), "switch_0_power", Some("W"));
    say.reading("voltage", Said::Digits("237.5".into()), "switch_0_voltage", Some("V"));
    say.object("temperature", |say| {
        say.reading("tC", now.degrees(), "switch_0_temperature", Some("Cel"));
        say.aside(Part::Beside, "tF", &path("temperature.tF"), "131.0");
    });
    let naming = Naming { metric: "switch_0_", deeper: "switch:0.", kept: "switch:0." };
    now.grown.tell(say, naming);
    say.mark("}");
    format!("shellyplus1pm-{}/status/switch:0", now.own)
}

/// What changed, as it is told at once.
pub(super) fn shelly_event(now: &Now<'_>, say: &mut Telling) -> String {
    let own = format!("shellyplus1pm-{}", now.own);
    say.at(now.event);
    say.mark("{");
    say.aside(Part::Around, "src", "src", &format!("\"{own}\""));
    say.aside(Part::Around, "dst", "dst", &format!("\"{own}/events\""));
    say.aside(Part::Around, "method", "method", "\"NotifyStatus\"");
    say.object("params", |say| {
        say.silent("ts", &format!("{}.{:03}", now.ms.div_euclid(1000), now.ms.rem_euclid(1000)));
        say.object("switch:0", |say| {
            say.aside(Part::Beside, "id", "switch:0.id", "0");
            say.object("aenergy", |say| {
                say.reading("total", now.meter(), "switch_0_energy", Some("W.h"));
            });
            say.reading("apower", Said::Number(now.power), "switch_0_power", Some("W"));
        });
        now.grown.tell(say, Naming::PLAIN);
    });
    say.mark("}");
    format!("{own}/events/rpc")
}

/// How every uplink of The Things Stack begins.
fn begin_things_stack(now: &Now<'_>, say: &mut Telling) {
    let device = format!(
        r#"{{"device_id":"{}","application_ids":{{"application_id":"orchard"}}}}"#,
        now.own
    );
    say.at(now.event);
    say.mark("{");
    say.aside(Part::Around, "end_device_ids", "end_device_ids", &device);
    say.aside(Part::Around, "received_at", "received_at", "\"2026-01-01T00:00:00.100Z\"");
}

pub(super) fn things_stack(now: &Now<'_>, say: &mut Telling) -> String {
    let (count, received) = (now.meter, now.rfc3339());
    begin_things_stack(now, say);
    say.object("uplink_message", |say| {
        say.shared("f_port", "2");
        say.shared("f_cnt", &(count % 65_536).to_string());
        say.aside(
            Part::Around,
            "frm_payload",
            "uplink_message.frm_payload",
            "\"y/YLBgJ+AX//f/8=\"",
        );
        say.object("decoded_payload", |say| {
            say.reading("pulses", now.meter(), "pulses", None);
            say.reading("TempC_SHT", now.degrees(), "temperature", Some("Cel"));
            say.reading("Hum_SHT", now.percent(), "humidity", Some("%"));
            say.reading("BatV", Said::Digits("3.062".into()), "battery_voltage", Some("V"));
            now.grown.tell(say, Naming::PLAIN);
        });
        let heard = r#"[{"gateway_ids":{"gateway_id":"gtw1"},"rssi":-35,"snr":5.2}]"#;
        say.aside(Part::Around, "rx_metadata", "uplink_message.rx_metadata", heard);
        say.share("rssi", "-35");
        say.share("snr", "5.2");
        say.silent("received_at", &received);
    });
    say.mark("}");
    format!("v3/orchard@ttn/devices/{}/up", now.own)
}

/// An application without a payload formatter: there is only what the gateways say, and the payload is kept as it came.
pub(super) fn things_stack_undecoded(now: &Now<'_>, say: &mut Telling) -> String {
    begin_things_stack(now, say);
    say.object("uplink_message", |say| {
        say.shared("f_port", "2");
        say.shared("f_cnt", &(now.meter % 65_536).to_string());
        say.aside(Part::Around, "frm_payload", "uplink_message.frm_payload", "\"y/YLBgJ+\"");
        say.name("rx_metadata");
        say.mark("[");
        say.mark("{");
        say.object("gateway_ids", |say| {
            let gateway = Said::Text(format!("gtw-{}", now.meter));
            say.reading("gateway_id", gateway, "gateway_ids.gateway_id", None);
        });
        say.shared("rssi", "-35");
        say.shared("snr", "5.2");
        say.mark("}");
        say.mark("]");
        say.silent("received_at", &now.rfc3339());
    });
    say.mark("}");
    format!("v3/orchard@ttn/devices/{}/up", now.own)
}

/// How every uplink of ChirpStack begins; returns the EUI.
fn begin_chirpstack(now: &Now<'_>, say: &mut Telling) -> String {
    let eui = eui(now.id);
    let info =
        format!(r#"{{"applicationName":"Meters","deviceName":"{}","devEui":"{eui}"}}"#, now.own);
    let time = now.time().format("\"%Y-%m-%dT%H:%M:%S%.3f+00:00\"").to_string();
    say.at(now.event);
    say.mark("{");
    say.silent("time", &time);
    say.aside(Part::Around, "deviceInfo", "deviceInfo", &info);
    say.silent("dr", "1");
    say.shared("fPort", "85");
    say.shared("fCnt", &(now.meter % 65_536).to_string());
    say.share("dr", "1");
    eui
}

pub(super) fn chirpstack(now: &Now<'_>, say: &mut Telling) -> String {
    let eui = begin_chirpstack(now, say);
    let heard = r#"[{"gatewayId":"0016c001f153a14c","rssi":-70,"snr":9.0}]"#;
    say.share("rssi", "-70");
    say.share("snr", "9.0");
    say.object("object", |say| {
        say.reading("pulses", now.meter(), "pulses", None);
        say.object("temperatureSensor", |say| {
            say.reading("1", now.degrees(), "temperature_1", Some("Cel"));
        });
        say.object("humiditySensor", |say| {
            say.reading("2", now.percent(), "humidity_2", Some("%"));
        });
        now.grown.tell(say, Naming::PLAIN);
    });
    say.aside(Part::Around, "rxInfo", "rxInfo", heard);
    say.mark("}");
    format!("application/meters/device/{eui}/event/up")
}

/// A device profile without a codec.
pub(super) fn chirpstack_undecoded(now: &Now<'_>, say: &mut Telling) -> String {
    let eui = begin_chirpstack(now, say);
    say.aside(Part::Around, "data", "data", "\"AXUBAA==\"");
    say.name("rxInfo");
    say.mark("[");
    say.mark("{");
    let gateway = Said::Text(format!("gtw-{}", now.meter));
    say.reading("gatewayId", gateway, "gatewayId", None);
    say.shared("rssi", "-70");
    say.shared("snr", "9.0");
    say.mark("}");
    say.mark("]");
    say.mark("}");
    format!("application/meters/device/{eui}/event/up")
}

pub(super) fn esphome(now: &Now<'_>, say: &mut Telling) -> String {
    let digits = now.digits();
    say.bare(&digits, "total_energy", now.meter(), None);
    format!("{}/sensor/total_energy/state", now.own)
}

pub(super) fn rtl433(now: &Now<'_>, say: &mut Telling) -> String {
    // An hour east of Greenwich, as `-M time:iso:tz` writes it.
    let there = now.time() + chrono::TimeDelta::hours(1);
    let time = there.format("\"%Y-%m-%dT%H:%M:%S+0100\"").to_string();
    say.at(now.whole_second());
    say.mark("{");
    say.silent("time", &time);
    say.aside(Part::Beside, "model", "model", "\"Fineoffset-WH24\"");
    say.aside(Part::Beside, "id", "id", &format!("\"{}\"", short(now.id)));
    say.reading("rain_mm", now.meter(), "rain", Some("mm"));
    say.reading("battery_ok", Said::Number(1.0), "battery_ok", None);
    say.reading("temperature_C", now.degrees(), "temperature", Some("Cel"));
    say.reading("humidity", now.percent(), "humidity", Some("%"));
    say.reading("wind_avg_m_s", Said::Digits("1.12".into()), "wind_speed", Some("m/s"));
    say.aside(Part::Beside, "mic", "mic", "\"CRC\"");
    say.shared("rssi", "-0.113");
    say.shared("snr", "26.2");
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    "rtl_433/pi4/events".to_owned()
}

pub(super) fn openmqttgateway(now: &Now<'_>, say: &mut Telling) -> String {
    let mac = mac(now.id);
    say.mark("{");
    say.aside(Part::Beside, "id", "id", &format!("\"{mac}\""));
    say.shared("rssi", "-91");
    say.aside(Part::Beside, "brand", "brand", "\"Xiaomi\"");
    say.aside(Part::Beside, "type", "type", "\"THB\"");
    say.reading("count", now.meter(), "count", None);
    say.reading("tempc", now.degrees(), "temperature", Some("Cel"));
    say.aside(Part::Beside, "tempf", "tempf", "83.354");
    say.reading("hum", now.percent(), "humidity", Some("%"));
    say.reading("batt", Said::Number(76.0), "battery", Some("%"));
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    format!("home/OpenMQTTGateway/BTtoMQTT/{mac}")
}

pub(super) fn aws_iot(now: &Now<'_>, say: &mut Telling) -> String {
    say.at(now.event);
    say.mark("{");
    say.silent("timestamp", &now.ms.to_string());
    say.object("energy", |say| {
        say.reading("total", now.meter(), "energy.total", None);
        say.name("phases");
        say.mark("[");
        say.element(Said::Number(now.power), "energy.phases.0", None);
        say.element(Said::Digits("72.5".into()), "energy.phases.1", None);
        say.mark("]");
    });
    say.object("fan", |say| say.reading("on", Said::Truth(true), "fan.on", None));
    now.grown.tell(say, Naming::PLAIN);
    say.mark("}");
    format!("dt/plant/line-1/{}/telemetry", now.own)
}

/// Two times in one message of a gateway.
pub(super) fn thingsboard(now: &Now<'_>, say: &mut Telling) -> String {
    say.mark("{");
    say.name(now.own);
    say.mark("[");
    for (ms, event, first) in [(now.ms, now.event, true), (now.ms - 1000, now.event_before, false)]
    {
        say.at(event);
        say.mark("{");
        say.silent("ts", &ms.to_string());
        say.object("values", |say| {
            if first {
                say.reading("energy", now.meter(), "energy", None);
                now.grown.tell(say, Naming { kept: "values.", ..Naming::PLAIN });
            }
            say.reading("temperature", now.degrees(), "temperature", None);
        });
        say.mark("}");
    }
    say.mark("]");
    say.mark("}");
    "v1/gateway/telemetry".to_owned()
}

pub(super) fn scalars(now: &Now<'_>, say: &mut Telling) -> String {
    say.bare(&format!("{} kWh", now.digits()), "energy", now.meter(), Some("kW.h"));
    format!("house/{}/energy", now.own)
}
