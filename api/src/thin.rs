//! A series made shorter: of each part of the time the least and the greatest point stay, so that no peak is lost.

use std::cmp::Reverse;

/// A point: when (Unix microseconds), how much, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) at_us: i64,
    pub(crate) value: f64,
    pub(crate) quality: &'static str,
}

/// Takes points in any order and keeps at most so many of them. Memory does not grow with what comes.
#[derive(Debug)]
pub(crate) struct Thin {
    first_us: i64,
    last_us: i64,
    max: usize,
    /// All, as long as they are few …
    few: Vec<Point>,
    /// … then the least and the greatest of each part.
    parts: Vec<Option<(Point, Point)>>,
    came: u64,
}

impl Thin {
    /// Of the time between `first_us` and `last_us`, at most `max` points, at least 2.
    pub(crate) fn new(first_us: i64, last_us: i64, max: usize) -> Self {
        let max = max.max(2);
        Self { first_us, last_us, max, few: Vec::new(), parts: Vec::new(), came: 0 }
    }

    pub(crate) fn add(&mut self, point: Point) {
        self.came += 1;
        if self.parts.is_empty() {
            self.few.push(point);
            if self.few.len() > self.max {
                self.parts = vec![None; self.max / 2];
                for point in std::mem::take(&mut self.few) {
                    self.put(point);
                }
            }
        } else {
            self.put(point);
        }
    }

    fn put(&mut self, point: Point) {
        let span = i128::from(self.last_us) - i128::from(self.first_us) + 1;
        let after = (i128::from(point.at_us) - i128::from(self.first_us)).clamp(0, span - 1);
        let parts = self.parts.len() as i128;
        let part =
            usize::try_from(after * parts / span.max(1)).unwrap_or(0).min(self.parts.len() - 1);
        let (least, greatest) = self.parts[part].get_or_insert((point, point));
        if (point.value, point.at_us) < (least.value, least.at_us) {
            *least = point;
        }
        if (point.value, Reverse(point.at_us)) > (greatest.value, Reverse(greatest.at_us)) {
            *greatest = point;
        }
    }

    /// The points in order of time, and whether some were left out.
    pub(crate) fn points(self) -> (Vec<Point>, bool) {
        let both = self.parts.into_iter().flatten().flat_map(|(least, greatest)| {
            let same = least == greatest;
            std::iter::once(least).chain((!same).then_some(greatest))
        });
        let mut points: Vec<Point> = self.few.into_iter().chain(both).collect();
        points.sort_by_key(|point| point.at_us);
        let more = self.came > points.len() as u64;
        (points, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_us: i64, value: f64) -> Point {
        Point { at_us, value, quality: "good" }
    }

    #[test]
    fn few_points_stay_as_they_are_in_order_of_time() {
        let mut thin = Thin::new(0, 100, 10);
        for at in [5, 3, 9] {
            thin.add(point(at, 1.0));
        }
        let (points, more) = thin.points();
        assert_eq!(points.iter().map(|it| it.at_us).collect::<Vec<_>>(), [3, 5, 9]);
        assert!(!more);
    }

    #[test]
    fn of_many_points_every_peak_stays() {
        let mut thin = Thin::new(0, 99_999, 100);
        for at in 0..100_000_i32 {
            let value = match at {
                31_416 => 1_000.0,
                77_777 => -1_000.0,
                _ => f64::from(at % 7),
            };
            thin.add(point(at.into(), value));
        }
        let (points, more) = thin.points();
        assert!(more && points.len() <= 100 && points.len() > 90, "{}", points.len());
        assert!(
            points.contains(&point(31_416, 1_000.0)) && points.contains(&point(77_777, -1_000.0))
        );
        assert!(points.is_sorted_by_key(|it| it.at_us));
    }

    #[test]
    fn any_times_are_taken() {
        let mut thin = Thin::new(i64::MIN, i64::MAX, 2);
        for at in [i64::MIN, -1, 0, i64::MAX] {
            thin.add(point(at, 0.0));
        }
        assert!(thin.points().0.len() <= 2);
        let mut narrow = Thin::new(5, 5, 4);
        (0..10).for_each(|at| narrow.add(point(at, 0.0)));
        assert!(narrow.points().0.len() <= 4);
    }
}
