//! What a device measured in a minute: pure.
//!
//! The result depends on the values alone, not on the order in which they come: they are sorted before anything is added up.

use std::cmp::Ordering;
use std::collections::HashMap;

pub(crate) const MINUTE_US: i64 = 60_000_000;

/// What a row of the view is about, but for the minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    pub(crate) site: String,
    pub(crate) device: String,
    pub(crate) metric: String,
    pub(crate) unit: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    channel: u32,
    event_us: i64,
    value: f64,
    good: bool,
}

/// Values, gathered.
#[derive(Debug, Default)]
pub(crate) struct Values {
    channels: Vec<Channel>,
    numbers: HashMap<Channel, u32>,
    values: Vec<Value>,
}

/// One minute of one channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Minute {
    pub(crate) channel: Channel,
    pub(crate) begin_us: i64,
    pub(crate) n: i64,
    pub(crate) n_good: i64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) median: f64,
    pub(crate) first: (i64, f64),
    pub(crate) last: (i64, f64),
}

/// The minute that a time is in.
pub(crate) fn minute_of(event_us: i64) -> i64 {
    event_us.div_euclid(MINUTE_US) * MINUTE_US
}

impl Values {
    /// Adds a value.
    pub(crate) fn add(
        &mut self,
        [site, device, metric]: [&str; 3],
        unit: Option<&str>,
        event_us: i64,
        (value, good): (f64, bool),
    ) {
        // Rows of one channel stand together.
        let same = |channel: &Channel| {
            channel.metric == metric
                && channel.device == device
                && channel.site == site
                && channel.unit.as_deref() == unit
        };
        let last = self.values.last().map(|value| value.channel);
        let channel = match last.filter(|n| self.channels.get(*n as usize).is_some_and(same)) {
            Some(number) => number,
            None => self.number(Channel {
                site: site.to_owned(),
                device: device.to_owned(),
                metric: metric.to_owned(),
                unit: unit.map(str::to_owned),
            }),
        };
        self.values.push(Value { channel, event_us, value, good });
    }

    fn number(&mut self, channel: Channel) -> u32 {
        if let Some(number) = self.numbers.get(&channel) {
            return *number;
        }
        let number = u32::try_from(self.channels.len()).unwrap_or(u32::MAX);
        self.channels.push(channel.clone());
        self.numbers.insert(channel, number);
        number
    }

    /// The minutes, in no particular order.
    pub(crate) fn minutes(mut self) -> Vec<Minute> {
        self.values.sort_unstable_by(|a, b| {
            (a.channel, a.event_us).cmp(&(b.channel, b.event_us)).then(order(a.value, b.value))
        });
        let together = |a: &Value, b: &Value| {
            a.channel == b.channel && minute_of(a.event_us) == minute_of(b.event_us)
        };
        let minutes = self.values.chunk_by(together).filter_map(|values| {
            let (first, last) = values.first().zip(values.last())?;
            let channel = self.channels.get(first.channel as usize)?.clone();
            let mut sorted: Vec<f64> = values.iter().map(|value| value.value).collect();
            sorted.sort_unstable_by(|a, b| order(*a, *b));
            let n = values.len();
            #[expect(clippy::cast_precision_loss, reason = "a minute has no 2^52 values")]
            let mean = sorted.iter().sum::<f64>() / n as f64;
            let middle = (sorted.get((n - 1) / 2)?, sorted.get(n / 2)?);
            Some(Minute {
                channel,
                begin_us: minute_of(first.event_us),
                n: i64::try_from(n).unwrap_or(i64::MAX),
                n_good: i64::try_from(values.iter().filter(|value| value.good).count())
                    .unwrap_or(0),
                min: *sorted.first()?,
                max: *sorted.last()?,
                mean,
                median: f64::midpoint(*middle.0, *middle.1),
                first: (first.event_us, first.value),
                last: (last.event_us, last.value),
            })
        });
        minutes.collect()
    }
}

fn order(a: f64, b: f64) -> Ordering {
    a.total_cmp(&b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn add(values: &mut Values, device: &str, at_s: i64, value: f64) {
        values.add(
            ["icu", device, "heart_rate"],
            Some("/min"),
            at_s * 1_000_000,
            (value, value > 0.0),
        );
    }

    #[test]
    fn a_minute_is_what_its_values_say() {
        let mut values = Values::default();
        for (at, value) in [(59, 9.0), (60, 4.0), (61, 1.0), (119, -3.0), (90, 2.0), (-1, 7.0)] {
            add(&mut values, "a", at, value);
        }
        add(&mut values, "b", 60, 100.0);
        let mut minutes = values.minutes();
        minutes.sort_by_key(|minute| (minute.channel.device.clone(), minute.begin_us));
        let [before, zero, one, other] = &minutes[..] else { panic!("{minutes:?}") };
        assert_eq!((before.begin_us, before.n, before.median), (-MINUTE_US, 1, 7.0));
        assert_eq!((zero.begin_us, zero.n), (0, 1));
        assert_eq!((one.begin_us, one.n, one.n_good), (MINUTE_US, 4, 3));
        assert_eq!((one.min, one.max, one.mean, one.median), (-3.0, 4.0, 1.0, 1.5));
        assert_eq!((one.first, one.last), ((60_000_000, 4.0), (119_000_000, -3.0)));
        assert_eq!((other.n, other.mean), (1, 100.0));
    }

    proptest! {
        #[test]
        fn inv14_minutes_do_not_depend_on_the_order_of_their_values(
            mut values in prop::collection::vec((0_i64..200, -1e9_f64..1e9, 0_usize..3), 1..60), seed: u64,
        ) {
            let all = |values: &[(i64, f64, usize)]| {
                let mut gathered = Values::default();
                for (at, value, device) in values {
                    add(&mut gathered, ["a", "b", "c"][*device], *at, *value);
                }
                let mut minutes = gathered.minutes();
                minutes.sort_by_key(|minute| (minute.channel.device.clone(), minute.begin_us));
                minutes
            };
            let before = all(&values);
            let mut state = seed;
            for n in (1..values.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                values.swap(n, usize::try_from(state >> 33).unwrap() % (n + 1));
            }
            prop_assert_eq!(before, all(&values));
        }
    }
}
