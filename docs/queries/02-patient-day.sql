-- How did a patient's vital signs run through the day, hour by hour?
--
-- patient_id is what the message said; rows of a device that was moved to another bed follow the patient, not the device.
-- Repeats are 'good' (the number is), but they would weigh twice in a mean. flags is NULL where there is nothing to say,
-- and NULL NOT LIKE anything is not true: hence coalesce.
-- Hours are UTC, as all times of the lake are. Set the session's zone to UTC, or date_trunc cuts at local hours.
SELECT patient_id, metric, unit, date_trunc('hour', event_ts) AS in_hour,
  count(*) AS readings, min(value) AS lowest, round(avg(value), 2) AS mean, max(value) AS highest
FROM readings
WHERE event_date = DATE '2026-01-01'
  AND patient_id = 'pt-002-1'
  AND quality = 'good'
  AND value IS NOT NULL
  AND coalesce(flags, '') NOT LIKE '%repeat%'
GROUP BY patient_id, metric, unit, date_trunc('hour', event_ts)
ORDER BY metric, unit, in_hour
