//! Steps of alerts as rows of the table `alerts`.

use lake::tables::alerts;
use watch::{RowKey, Transition};

use crate::batch::{Batch, Misfit, Row};
use crate::columns;

columns! {
    pub(super) struct AlertRow of alerts::NAME {
        at_ts: Time,
        found_ts: Time,
        heard_ts: Time,
        alert_id: Text,
        rule: Text,
        rule_version: Text,
        severity: Text,
        site: Text,
        device_id: Text,
        metric: Text,
        heard_through: Text,
        state_before: Text,
        state: Text,
        reason: Text,
        measured: Text,
        threshold: Text,
        acted_by: Text,
        until_ts: Time,
        cause_source_id: Text,
        cause_epoch: Long,
        cause_offset: Long,
        cause_row_no: Int,
        evidence: Text,
    }
}

/// What is not empty.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl AlertRow {
    /// Adds the row of a step that was found out at `now_us`.
    ///
    /// # Errors
    /// What does not fit, which would be a defect: all texts are bounded.
    pub(super) fn put(
        &self,
        batch: &mut Batch,
        step: &Transition,
        now_us: i64,
    ) -> Result<(), Misfit> {
        let alert_id = step.alert.to_string();
        let evidence: Vec<String> = step.evidence.iter().map(RowKey::to_string).collect();
        let evidence = serde_json::to_string(&evidence).unwrap_or_default();
        let mut row = Row::new(&self.table, step.at_us);
        row.set(self.at_ts, step.at_us)
            .set(self.found_ts, now_us)
            .set(self.heard_ts, step.heard_us)
            .set(self.alert_id, alert_id.as_str())
            .set(self.rule, step.rule.as_ref())
            .set(self.rule_version, step.rule_version.as_ref())
            .set(self.severity, step.severity.name())
            .set(self.site, step.site.as_ref())
            .set(self.device_id, given(&step.device))
            .set(self.metric, given(&step.metric))
            .set(self.heard_through, step.group.as_ref())
            .set(self.state_before, step.from.name())
            .set(self.state, step.to.name())
            .set(self.reason, step.reason.name())
            .set(self.measured, given(&step.value))
            .set(self.threshold, given(&step.threshold))
            .set(self.acted_by, step.by.as_deref())
            .set(self.until_ts, step.until_us)
            .set(self.cause_source_id, step.cause.source_id.as_ref())
            .set(self.cause_epoch, step.cause.epoch)
            .set(self.cause_offset, step.cause.source_offset)
            .set(self.cause_row_no, step.cause.row_no)
            .set(self.evidence, evidence.as_str());
        batch.add_own(row)
    }
}
