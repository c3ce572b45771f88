//! Subscriptions and fan-out, beside a list of subscriptions that is looked through one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry_core::topic::{ControlTopics, filter_matches, validate_filter};

use super::Input;
use crate::fanout::{Fanout, Mailbox, MailboxLimits, shared_filter};
use crate::letter::{Letter, Options};
use crate::message::Message;
use crate::metrics::GatewayMetrics;
use crate::shares::Shares;

const SESSIONS: usize = 4;
const LEVELS: [&str; 6] = ["a", "b", "", "+", "#", "$x"];

/// Each step subscribes, unsubscribes or publishes.
pub fn matching(data: &[u8]) {
    let mut input = Input(data);
    let fanout = Fanout::new(ControlTopics::default(), None, GatewayMetrics::default());
    let mut audiences = fanout.audiences();
    let limits = MailboxLimits::sharing(1000, 1 << 20, Shares::unlimited());
    let mailboxes: Vec<Arc<Mailbox>> = (0..SESSIONS)
        .map(|n| Arc::new(Mailbox::new(n.to_string().into(), limits.clone(), None)))
        .collect();
    mailboxes.iter().for_each(|mailbox| mailbox.set_present(true, false));
    let mut model: BTreeMap<(usize, String), Options> = BTreeMap::new();
    while !input.is_empty() {
        let session = input.below(SESSIONS);
        match input.byte() % 4 {
            0 | 1 => {
                let filter = filter(&mut input);
                let path = shared_filter(&filter).map_or(filter.as_str(), |(_, path)| path);
                if validate_filter(path).is_err() {
                    continue;
                }
                let bits = input.byte();
                let options = Options {
                    qos: bits % 3,
                    no_local: bits & 4 != 0 && shared_filter(&filter).is_none(),
                    retain_as_published: bits & 8 != 0,
                    id: (bits & 16 != 0).then_some(u32::from(bits >> 5) + 1),
                };
                fanout.subscribe(&filter, &mailboxes[session], options);
                model.insert((session, filter), options);
            }
            2 => {
                let filter = filter(&mut input);
                fanout.unsubscribe(&filter, &mailboxes[session]);
                model.remove(&(session, filter));
            }
            _ => {
                let topic = path(&mut input, 3);
                let bits = input.byte();
                let own = Message::own(topic, "x", bits % 3, bits & 4 != 0);
                let publisher = session.to_string().into();
                let message = Arc::new(Message { publisher, ..own });
                audiences.publish(&message);
                check(&model, &mailboxes, &message);
            }
        }
    }
}

fn path(input: &mut Input<'_>, names: usize) -> String {
    let depth = input.below(4) + 1;
    let levels: Vec<&str> = (0..depth).map(|_| LEVELS[input.below(names)]).collect();
    levels.join("/")
}

fn filter(input: &mut Input<'_>) -> String {
    let shared = input.byte();
    let path = path(input, LEVELS.len());
    match shared % 4 {
        0 => format!("$share/g/{path}"),
        1 => format!("$share/h/{path}"),
        _ => path,
    }
}

/// Every session has what its subscriptions ask for, and each group has one copy.
fn check(
    model: &BTreeMap<(usize, String), Options>,
    mailboxes: &[Arc<Mailbox>],
    message: &Message,
) {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let selects = |filter: &str| filter_matches(filter, &message.topic);
    for (_, filter) in model.keys() {
        if shared_filter(filter).is_some_and(|(_, path)| selects(path)) {
            groups.insert(filter, 0);
        }
    }
    for (session, mailbox) in mailboxes.iter().enumerate() {
        let own: Vec<Options> = model
            .iter()
            .filter(|((of, filter), _)| {
                *of == session && shared_filter(filter).is_none() && selects(filter)
            })
            .map(|(_, options)| *options)
            .filter(|options| !options.no_local || *mailbox.client_id != *message.publisher)
            .collect();
        let (mut plain, mut letters) = (0, Vec::<Letter>::new());
        while let Some(letter) = mailbox.take_if(|_| true) {
            letters.push(letter);
        }
        for letter in letters {
            assert_eq!(letter.message.topic, message.topic);
            match &letter.shared {
                Some(name) => {
                    let asked = model.get(&(session, name.to_string())).expect("it is a member");
                    assert_eq!(letter.qos, asked.qos.min(message.qos));
                    *groups.get_mut(&**name).expect("the group selects it") += 1;
                }
                None => {
                    plain += 1;
                    let highest = own.iter().map(|options| options.qos).max();
                    assert_eq!(Some(letter.qos), highest.map(|qos| qos.min(message.qos)));
                    let mut ids: Vec<u32> = own.iter().filter_map(|options| options.id).collect();
                    let mut heard = letter.ids;
                    ids.sort_unstable();
                    heard.sort_unstable();
                    assert_eq!(heard, ids);
                    let keeps = own.iter().any(|options| options.retain_as_published);
                    assert_eq!(letter.retain, keeps && message.retain);
                }
            }
        }
        assert_eq!(plain, usize::from(!own.is_empty()), "one delivery for all its subscriptions");
    }
    assert!(groups.values().all(|copies| *copies == 1), "{groups:?}");
}
