//! What subscribers get, and how often.

use super::*;

fn mailbox(client_id: &str) -> Arc<Mailbox> {
    let mailbox = Mailbox::new(client_id.into(), MailboxLimits::new(100, 1 << 20), None);
    mailbox.set_present(true, false);
    Arc::new(mailbox)
}

fn fanout() -> Fanout {
    Fanout::new(ControlTopics::default(), None, GatewayMetrics::default())
}

fn qos(qos: u8) -> Options {
    Options { qos, ..Options::default() }
}

fn message(topic: &str) -> Arc<Message> {
    Arc::new(Message { publisher: "pub".into(), ..Message::own(topic.into(), "x", 1, true) })
}

fn letters(mailbox: &Mailbox) -> Vec<Letter> {
    std::iter::from_fn(|| mailbox.take_if(|_| true)).collect()
}

#[test]
fn overlapping_subscriptions_give_one_delivery_with_the_highest_qos_and_all_identifiers() {
    let (fanout, one) = (fanout(), mailbox("one"));
    fanout.subscribe("a/#", &one, Options { id: Some(1), ..qos(0) });
    fanout.subscribe("a/+", &one, Options { id: Some(2), retain_as_published: true, ..qos(2) });
    fanout.subscribe("a/b", &one, qos(1));
    assert_eq!(fanout.audiences().publish(&message("a/b")), Reached::Somebody);
    let letters = letters(&one);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let mut ids = letter.ids.clone();
    ids.sort_unstable();
    assert_eq!(
        (letter.qos, letter.retain, ids),
        (1, true, vec![1, 2]),
        "no higher than it was published"
    );
}

#[test]
fn a_message_is_lost_only_when_nobody_who_wants_it_has_room() {
    let (fanout, full) = (fanout(), Mailbox::new("full".into(), MailboxLimits::new(0, 0), None));
    full.set_present(true, false);
    fanout.subscribe("a", &Arc::new(full), qos(1));
    let mut audiences = fanout.audiences();
    assert_eq!(audiences.publish(&message("a")), Reached::Full);
    let one = mailbox("one");
    fanout.subscribe("+", &one, qos(1));
    assert_eq!(audiences.publish(&message("a")), Reached::Somebody);
    assert_eq!((letters(&one).len(), fanout.shared.metrics.queue_dropped.get()), (1, 2));
}

#[test]
fn who_wants_nothing_of_its_own_gets_nothing_of_its_own() {
    let (fanout, own, other) = (fanout(), mailbox("pub"), mailbox("other"));
    for mailbox in [&own, &other] {
        fanout.subscribe("a", mailbox, Options { no_local: true, ..qos(1) });
    }
    fanout.audiences().publish(&message("a"));
    assert_eq!((letters(&own).len(), letters(&other).len()), (0, 1));
}

#[test]
fn a_publisher_hears_of_every_change_of_its_audience() {
    let (fanout, one) = (fanout(), mailbox("one"));
    let mut audiences = fanout.audiences();
    assert!(!audiences.wants("a"));
    fanout.subscribe("a", &one, qos(1));
    assert!(audiences.wants("a") && audiences.publish(&message("a")) == Reached::Somebody);
    fanout.unsubscribe("a", &one);
    assert_eq!(audiences.publish(&message("a")), Reached::Nobody);
    assert_eq!(letters(&one).len(), 1);
}

#[test]
fn each_message_of_a_shared_subscription_goes_to_one_member_and_to_another_when_that_one_ends() {
    let fanout = fanout();
    let (one, two) = (mailbox("one"), mailbox("two"));
    for mailbox in [&one, &two] {
        fanout.subscribe("$share/g/a/+", mailbox, qos(1));
    }
    let mut audiences = fanout.audiences();
    for n in 0..10 {
        audiences.publish(&message(&format!("a/{n}")));
    }
    fanout.unsubscribe("$share/g/a/+", &one);
    let left = one.empty();
    assert_eq!(left.len(), 5);
    fanout.pass_on(left);
    assert_eq!(letters(&two).len(), 10);
}

#[test]
fn inv8_audiences_that_are_remembered_are_limited() {
    let mut audiences = fanout().audiences();
    for n in 0..3 * AUDIENCES_MAX {
        audiences.wants(&n.to_string());
    }
    assert!(audiences.known.len() <= AUDIENCES_MAX + 1);
}
