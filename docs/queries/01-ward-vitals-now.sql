-- What are the newest vital signs of each bed?
--
-- quality = 'good': nothing speaks against the number. A sentinel, an artefact or a wrong unit is not shown as a vital sign.
-- event_ts, not received_ts: a backlog that arrives late must not hide what is newer.
-- event_date, the partition, in WHERE: without it every file of the lake is read.
-- The identity ends the ORDER BY, so that of two readings of one moment every engine takes the same.
WITH ranked AS (
  SELECT site, ward, bed, patient_id, device_id, metric, value, unit, event_ts,
    row_number() OVER (
      PARTITION BY site, device_id, metric
      ORDER BY event_ts DESC, received_ts DESC, source_id, epoch, source_offset DESC, row_no DESC) AS nth
  FROM readings
  WHERE event_date = DATE '2026-01-01'
    AND quality = 'good'
    AND metric IN ('heart_rate', 'resp_rate', 'spo2', 'temp_body', 'nibp_sys', 'nibp_dia')
    AND bed IS NOT NULL)
SELECT site, ward, bed, patient_id, device_id, metric, round(value, 1) AS newest_value, unit, event_ts AS since
FROM ranked
WHERE nth = 1
ORDER BY site, ward, bed, device_id, metric
