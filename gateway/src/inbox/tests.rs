//! An inbox with a real spool and no sockets.

use service_runtime::{Clock, Metrics, Stop};
use store_forward::config::SpoolOptions;
use store_forward::metrics::SpoolMetrics;
use store_forward::{Fresh, Progress, Spool, SpoolConfig, WriterThread};
use telemetry_core::spool::attributes;
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;

use super::*;
use crate::access::config::AccessConfig;
use crate::access::owner::Owner;
use crate::access::{Access, Names};
use crate::fanout::{Fanout, MailboxLimits};
use crate::letter::Options;
use crate::metrics::GatewayMetrics;
use crate::mqtt::{Properties, Will};
use crate::rate::Rates;
use crate::retained::Retained;
use crate::session::{Registry, SessionLimits};
use crate::shares::Shares;
use crate::store::Store;
use crate::testament::Testament;

/// A gateway without sockets, whose spool writes when its writer is run, and whose sessions are never written.
fn shared(folder: &std::path::Path) -> (Shared, WriterThread) {
    let config = SpoolConfig {
        dir: folder.join("spool"),
        pending_bytes_max: 1 << 20,
        ..SpoolConfig::default()
    };
    let options = SpoolOptions { source_id: "gateway".parse().unwrap(), config };
    let (spool, writer) = Spool::open(&options, Fresh::new(|| 7), SpoolMetrics::default()).unwrap();
    let (limits, topics) = (Limits::default(), ControlTopics::default());
    let metrics = GatewayMetrics::default();
    let (store, _thread, _) = Store::open(&folder.join("sessions.redb")).unwrap();
    let names = Names { control: "tm/v1".into(), gateway: "gateway".into() };
    let access = AccessConfig::default();
    let (access, _) = Access::open(&access, names, Clock::default(), &Metrics::default()).unwrap();
    let shared = Shared {
        access,
        retained: Retained::new(&limits, topics.clone(), None, metrics.clone()),
        fanout: Fanout::new(topics.clone(), Some(store.clone()), metrics.clone()),
        session_limits: SessionLimits {
            mailbox: MailboxLimits::new(100, 1 << 20),
            subscriptions: Shares::unlimited(),
        },
        rates: Rates::new(&limits),
        store,
        limits,
        topics,
        spool,
        registry: Registry::default(),
        metrics,
        clock: Clock::default(),
        traced: None,
        receiving: Arc::default(),
        draining: Stop::new(),
        staying: watch::Sender::default(),
        closing: Stop::new(),
    };
    (shared, writer)
}

fn anonymous() -> Arc<Owner> {
    Owner::of_publisher("anonymous:mon-1").into()
}

/// A device and its session.
struct Device {
    inbox: Inbox,
    session: Session,
}

impl Device {
    fn new(shared: &Shared, version: Version, expiry_seconds: u32) -> Self {
        let (id, audiences): (Arc<str>, _) = ("mon-1".into(), shared.fanout.audiences());
        let limits = shared.session_limits.clone();
        let store = Some(shared.store.clone());
        let mut session = Session::new(id.clone(), anonymous(), expiry_seconds, limits, 10, store);
        session.connected(&anonymous());
        let inbox = Inbox::new(version, &id, "anonymous:mon-1".into(), false, audiences);
        Self { inbox, session }
    }

    fn take(&mut self, shared: &Shared, publish: Publish) -> Result<(), Reason> {
        self.inbox.take(shared, &mut self.session, publish, (true, false))
    }

    fn accept(&mut self, shared: &Shared) {
        self.inbox.accept(shared, &mut self.session).unwrap();
    }
}

fn publish(bytes: usize) -> Publish {
    Publish {
        topic: "dt/w/mon-1/readings".into(),
        alias: None,
        payload: vec![1; bytes].into(),
        qos: 1,
        retain: false,
        dup: false,
        pkid: 5,
        properties: None,
    }
}

fn safe(spool: Progress) -> Safe {
    Safe { spool, stored: u64::MAX }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_finds_the_spool_busy_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, writer) = shared(folder.path());
    let mut device = Device::new(&shared, Version::V311, 0);
    for _ in 0..3 {
        device.take(&shared, publish(500_000)).unwrap();
    }
    device.accept(&shared);
    assert_eq!(device.inbox.blocked, Some(AppendError::Busy));
    let before = shared.spool.status().appended;
    let Publish { topic, payload, .. } = publish(500_000);
    let will = Will { topic, payload, qos: 1, retain: false, delay_seconds: 0, properties: None };
    let publisher = "anonymous:mon-1".to_owned();
    let will = Testament { id: 1, client_id: "mon-1".into(), publisher, owner: anonymous(), will };
    let published = crate::will::publish(will, &shared);
    let written = async {
        // Only now: the will has found the spool busy.
        tokio::task::yield_now().await;
        std::thread::spawn(move || writer.run())
    };
    let ((), writer) = tokio::join!(published, written);
    assert_eq!(shared.spool.status().appended, before + 1);
    shared.spool.close();
    writer.join().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv1_an_acknowledgement_waits_for_the_sync_of_its_message() {
    for qos in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (shared, writer) = shared(folder.path());
        let mut device = Device::new(&shared, Version::V311, 0);
        device.take(&shared, Publish { qos, ..publish(100) }).unwrap();
        device.accept(&shared);
        let (mut progress, mut output) = (shared.spool.progress(), BytesMut::new());
        let accepted = safe(*progress.borrow_and_update());
        assert!(
            !device.inbox.write_acks(&shared, &accepted, &mut output),
            "nothing is written yet"
        );
        let writer = std::thread::spawn(move || writer.run());
        let synced = safe(*progress.wait_for(|now| now.synced == 1).await.unwrap());
        assert!(
            device.inbox.write_acks(&shared, &synced, &mut output) && device.inbox.is_settled()
        );
        assert_eq!(output[..], [if qos == 1 { 0x40 } else { 0x50 }, 2, 0, 5]);
        shared.spool.close();
        writer.join().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qos_2_message_that_comes_again_is_stored_once_and_acknowledged_again() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, _writer) = shared(folder.path());
    let mut device = Device::new(&shared, Version::V5, 60);
    let message = || Publish { qos: 2, ..publish(100) };
    for _ in 0..3 {
        device.take(&shared, message()).unwrap();
        device.accept(&shared);
    }
    assert_eq!((shared.spool.status().appended, device.inbox.acks.len()), (1, 3));
    // Not yet on disk that the packet id is in use: a restart would take the message for a new one.
    let (mut output, synced) = (BytesMut::new(), Progress { synced: 1, ..Progress::default() });
    assert!(!device.inbox.write_acks(&shared, &Safe { spool: synced, stored: 0 }, &mut output));
    assert!(device.inbox.write_acks(&shared, &safe(synced), &mut output));
    assert!(device.session.received.end(5), "released");
    device.take(&shared, message()).unwrap();
    device.accept(&shared);
    assert_eq!(shared.spool.status().appended, 2, "the packet id is used for a new message");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_what_a_publisher_says_of_its_message_stands_in_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, writer) = shared(folder.path());
    let mut device = Device::new(&shared, Version::V5, 60);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let user = vec![pair("fw", "2"), pair("fw", "1"), pair("", "")];
    let content_type = Some("application/cbor".to_owned());
    let said = Properties { user, content_type, ..Properties::default() };
    let expires = Properties { expiry_seconds: Some(3), ..Properties::default() };
    let properties = |own: Properties| Some(Box::new(own));
    device.take(&shared, Publish { properties: properties(said), ..publish(1) }).unwrap();
    device.take(&shared, Publish { qos: 2, pkid: 6, retain: true, ..publish(2) }).unwrap();
    device.take(&shared, Publish { qos: 0, pkid: 0, ..publish(3) }).unwrap();
    device.take(&shared, Publish { properties: properties(expires), ..publish(4) }).unwrap();
    device.accept(&shared);
    shared.spool.close();
    writer.run().unwrap();
    let mut found = Vec::new();
    let read = |record: &telemetry_core::spool::record::Record<'_>| {
        found.push(record.attributes.to_vec());
    };
    shared.spool.records(0, read).unwrap();
    let read = |bytes| attributes::read(bytes).collect::<Vec<_>>();
    let pair = |name, value| Attribute::UserProperty { name, value };
    let told = [pair("fw", "2"), pair("fw", "1"), pair("", "")];
    let content_type = Attribute::ContentType("application/cbor");
    let delivery = Attribute::Delivery { qos: 2, retain: true };
    assert_eq!(read(&found[0]), [&[content_type][..], &told].concat());
    let exchange = Attribute::Exchange { pkid: 6, client_id: "mon-1" };
    assert_eq!(read(&found[1]), [exchange, delivery]);
    assert_eq!(read(&found[2]), [Attribute::Delivery { qos: 0, retain: false }]);
    assert_eq!(found[3], b"", "the usual message has nothing to say");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_waits_for_the_copy_of_a_subscriber_who_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, _writer) = shared(folder.path());
    let mut pump = Device::new(&shared, Version::V5, 60);
    let options = Options { qos: 1, ..Options::default() };
    shared.fanout.subscribe("cmd/#", &pump.session.mailbox, options);
    pump.session.disconnected(0);
    let mut nurse = Device::new(&shared, Version::V5, 0);
    let pushed = shared.store.pushed();
    nurse.take(&shared, Publish { topic: "cmd/w/pump-1/rate".into(), ..publish(1) }).unwrap();
    nurse.accept(&shared);
    let mut output = BytesMut::new();
    let before = Safe { spool: Progress::default(), stored: pushed };
    assert!(!nurse.inbox.write_acks(&shared, &before, &mut output));
    assert!(nurse.inbox.write_acks(&shared, &Safe { stored: pushed + 1, ..before }, &mut output));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_full_spool_refuses_by_name_or_withholds_and_never_feigns_success() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, _writer) = shared(folder.path());
    let mut old = Device::new(&shared, Version::V311, 0);
    old.take(&shared, publish(100)).unwrap();
    assert!(
        !old.inbox.refuse_when_full(&shared, &mut old.session),
        "3.1.1 has no word for it: it waits"
    );
    assert_eq!((old.inbox.acks.len(), old.inbox.waiting.len()), (0, 1));
    for qos in [1, 2] {
        let mut new = Device::new(&shared, Version::V5, 0);
        new.take(&shared, Publish { qos, ..publish(100) }).unwrap();
        assert!(new.inbox.refuse_when_full(&shared, &mut new.session));
        let told = new.inbox.acks.pop(&safe(Progress::default())).map(|owed| owed.ack);
        assert_eq!((told, new.session.received.len()), (Some(Ack::QuotaExceeded), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_more_than_the_receive_maximum_is_refused() {
    for qos in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (mut shared, _writer) = shared(folder.path());
        shared.limits.receive_max = 2;
        let mut device = Device::new(&shared, Version::V5, 0);
        let message = |pkid| Publish { qos, pkid, ..publish(100) };
        device.take(&shared, message(1)).unwrap();
        device.accept(&shared);
        device.take(&shared, message(2)).unwrap();
        let third = device.take(&shared, message(3));
        assert_eq!(third, Err(Reason::ReceiveMaximum), "one is stored, one waits, none is synced");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_nobody_publishes_what_is_the_servers_or_what_it_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, _writer) = shared(folder.path());
    let message = |topic: &str| Publish { topic: topic.into(), ..publish(1) };
    let mut new = Device::new(&shared, Version::V5, 0);
    new.take(&shared, message("$SYS/broker/version")).unwrap();
    new.inbox
        .take(&shared, &mut new.session, message("dt/w/other/readings"), (false, false))
        .unwrap();
    new.accept(&shared);
    let told: Vec<_> = std::iter::from_fn(|| new.inbox.acks.pop(&safe(Progress::default())))
        .map(|owed| owed.ack)
        .collect();
    assert_eq!((told, shared.spool.status().appended), (vec![Ack::NotAuthorized; 2], 0));
    let mut old = Device::new(&shared, Version::V311, 0);
    let refused =
        old.inbox.take(&shared, &mut old.session, message("dt/w/other/readings"), (false, false));
    assert_eq!(refused, Err(Reason::NotAuthorized), "3.1.1 has no other way to hear of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qos_2_message_that_was_never_stored_may_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut shared, _writer) = shared(folder.path());
    shared.limits.held_bytes_max = 1000;
    let mut device = Device::new(&shared, Version::V311, 60);
    let message = |pkid| Publish { qos: 2, pkid, ..publish(600) };
    device.inbox.blocked = Some(AppendError::Full);
    device.take(&shared, message(1)).unwrap();
    assert_eq!(device.take(&shared, message(2)), Err(Reason::QuotaExceeded));
    device.inbox.abandon(&mut device.session);
    assert_eq!(
        device.session.received.len(),
        0,
        "or its repeat would be acknowledged and never stored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_what_is_held_while_the_spool_takes_nothing_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let (mut shared, _writer) = shared(folder.path());
    shared.limits.held_bytes_max = 1000;
    let mut device = Device::new(&shared, Version::V311, 0);
    device.inbox.blocked = Some(AppendError::Full);
    device.take(&shared, publish(900)).unwrap();
    assert!(device.inbox.may_read(&shared.limits), "pings are answered");
    assert_eq!(device.take(&shared, publish(900)), Err(Reason::QuotaExceeded));
    let mut large = Device::new(&shared, Version::V311, 0);
    large.inbox.blocked = Some(AppendError::Full);
    assert_eq!(large.take(&shared, publish(5000)), Err(Reason::QuotaExceeded));
    large.inbox.blocked = None;
    large.take(&shared, publish(5000)).unwrap();
    large.inbox.blocked = Some(AppendError::Full);
    assert!(
        large.inbox.may_read(&shared.limits),
        "one that found no room is waited for with its pings"
    );

    let mut inbox = Device::new(&shared, Version::V311, 0).inbox;
    assert!(inbox.may_read(&shared.limits));
    inbox.blocked = Some(AppendError::Busy);
    assert!(!inbox.may_read(&shared.limits), "TCP pushes back");
    inbox.blocked = None;
    for pkid in 1..=u16::MAX {
        inbox.acks.push(Owed { pkid, qos: 1, ack: Ack::Success, place: None, stored: 0 });
    }
    assert!(!inbox.may_read(&shared.limits), "every packet id is owed");
}
