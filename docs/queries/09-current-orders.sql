-- Which medications are being given now: the newest version of each order?
--
-- ehr_events has a row for each version of a resource and never changes one: the newest version is the current state.
-- Versions are ordered by last_updated (when the EHR made it), not by arrival: an older version can come later.
-- event_date is not in WHERE: the newest version may be of any day. Where that is too much to read, say the days of a stay.
-- First the newest version, then the status: the other way round a finished order is found again in its older version.
WITH versions AS (
  SELECT site, system_id, resource_type, resource_id, version_id, patient_id, code, code_display, status, event_ts,
    row_number() OVER (
      PARTITION BY site, system_id, resource_type, resource_id
      ORDER BY coalesce(last_updated, received_ts) DESC, received_ts DESC, source_id, epoch, source_offset DESC, row_no DESC) AS nth,
    count(*) OVER (PARTITION BY site, system_id, resource_type, resource_id) AS versions
  FROM ehr_events
  WHERE resource_type IN ('MedicationAdministration', 'MedicationRequest', 'ServiceRequest')
    AND resource_id IS NOT NULL)
SELECT site, system_id, patient_id, resource_type, resource_id, version_id, versions, code, code_display, status, event_ts
FROM versions
WHERE nth = 1
  AND coalesce(status, 'unknown') NOT IN ('completed', 'stopped', 'cancelled', 'entered-in-error', 'deleted')
ORDER BY site, system_id, resource_type, resource_id
