//! The API as its callers see it: what each path answers, to whom, and what happens at the limits.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "contract/answers.rs"]
mod answers;
#[path = "contract/bounds.rs"]
mod bounds;
#[path = "contract/kit.rs"]
mod kit;
#[path = "contract/roles.rs"]
mod roles;
