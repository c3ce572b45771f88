//! A client's subscriptions: which filters, with which QoS.

use std::collections::HashMap;

use telemetry_core::topic::{ControlTopics, filter_matches, validate_filter};

use crate::bus::{BusMessage, SubscribeError, Subscriber};
use crate::connection::Shared;
use crate::mqtt::{Reason, SubReason, Subscription};

/// The filters of one session.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    granted: HashMap<String, u8>,
}

impl Subscriptions {
    /// Adds subscriptions. Returns what was granted for each and the retained messages to send.
    pub(crate) async fn add(
        &mut self,
        shared: &Shared,
        subscriber: &mut Subscriber,
        wanted: Vec<Subscription>,
    ) -> Result<(Vec<SubReason>, Vec<BusMessage>), Reason> {
        let (mut granted, mut retained) = (Vec::with_capacity(wanted.len()), Vec::new());
        for subscription in wanted {
            let Subscription { filter, qos, retain_handling, .. } = subscription;
            let known = self.granted.contains_key(&filter);
            let refused = validate_filter(&filter).is_err()
                || filter.starts_with('$')
                || (!known && self.granted.len() >= shared.limits.subscriptions_max);
            if refused {
                granted.push(SubReason::FilterInvalid);
                continue;
            }
            match subscriber.subscribe(&filter).await {
                Ok(_) => {}
                Err(SubscribeError::TooMany) => {
                    granted.push(SubReason::FilterInvalid);
                    continue;
                }
                Err(SubscribeError::Down(_)) => return Err(Reason::ServerBusy),
            }
            granted.push(SubReason::Granted(qos.min(1)));
            if retain_handling == 0 || (retain_handling == 1 && !known) {
                retained.extend(shared.retained.matching(&filter));
            }
            self.granted.insert(filter, qos.min(1));
        }
        Ok((granted, retained))
    }

    /// Removes a subscription; tells whether there was one.
    pub(crate) async fn remove(&mut self, subscriber: &mut Subscriber, filter: &str) -> bool {
        self.granted.remove(filter).is_some() && subscriber.unsubscribe(filter).await
    }

    /// Returns the highest QoS granted for a topic; `None` when no filter selects it.
    pub(crate) fn qos_for(&self, topic: &str) -> Option<u8> {
        self.granted
            .iter()
            .filter(|(filter, _)| filter_matches(filter, topic))
            .map(|(_, qos)| *qos)
            .max()
    }

    /// Tells whether the session takes frames: such a one is needed until everything has landed.
    pub(crate) fn take_frames(&self, topics: &ControlTopics) -> bool {
        self.granted.keys().any(|filter| topics.takes_frames(filter))
    }
}
