//! Decode and encode from memory on one core.
#![allow(
    clippy::all,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "x"
)]
use ingest::batch::Batch;
use ingest::config::Config;
use ingest::decode::Decoder;
use std::time::Instant;
use telemetry_core::id::Epoch;
use telemetry_core::spool::record::Record;
fn main() {
    let n: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1_000_000);
    let metrics = [
        "heart_rate",
        "spo2",
        "resp_rate",
        "nibp_sys",
        "nibp_dia",
        "temp_body",
        "etco2",
        "pulse_rate",
    ];
    let msgs: Vec<(String,String)> = (0..n).map(|i| {
        let d = i % 100; let m = metrics[((i/100)%8) as usize];
        let t = 1_785_542_400_000u64 + i;
        let ts = chrono::DateTime::from_timestamp_millis(t as i64).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        (format!("dt/ward-a/monitor-{d:03}/readings"), format!("{{\"ts\":\"{ts}\",\"metric\":\"{m}\",\"value\":{}.{},\"unit\":\"/min\",\"boot\":7,\"seq\":{i}}}", 60 + (i*7919)%40, (i*31)%10))
    }).collect();
    println!("payload {} bytes: {}", msgs[0].1.len(), msgs[0].1);
    let decoder = Decoder::new(&Config::default());
    for round in 0..3 {
        let mut batch = Batch::default();
        let t0 = Instant::now();
        let s = batch.source(&"gw".parse().unwrap(), Epoch::from_random(3), 0);
        for (i, (topic, payload)) in msgs.iter().enumerate() {
            decoder.record(
                &mut batch,
                s,
                &Record {
                    offset: i as u64,
                    chain: 0,
                    received_us: 1_785_542_400_000_000 + i as i64 * 1000 + 137,
                    flags: 0,
                    publisher: "monitor",
                    topic,
                    payload: payload.as_bytes(),
                },
            );
        }
        batch.advance(s, n, 1);
        let t1 = Instant::now();
        let (files, _) = batch.into_files().unwrap();
        let t2 = Instant::now();
        let mut bytes = 0;
        let mut enc = vec![];
        for f in files {
            let e = lake::parquet::encode(f.table, f.batches).unwrap().unwrap();
            bytes += e.bytes.len();
            enc.push(e);
        }
        let t3 = Instant::now();
        let (d, s, e) = ((t1 - t0).as_secs_f64(), (t2 - t1).as_secs_f64(), (t3 - t2).as_secs_f64());
        println!(
            "round {round}: decode {:.0} ns, sort {:.0} ns, encode {:.0} ns/row; total {:.2} M rows/s; {:.2} B/row",
            d * 1e9 / n as f64,
            s * 1e9 / n as f64,
            e * 1e9 / n as f64,
            n as f64 / (d + s + e) / 1e6,
            bytes as f64 / n as f64
        );
        if round == 2 {
            for e in &enc {
                for (c, b) in lake::parquet::column_bytes(&e.bytes).unwrap() {
                    println!("{c:16} {:.3} B/row", b as f64 / n as f64);
                }
            }
        }
    }
}
