-- What goes into an early warning score (NEWS2), side by side per device and quarter of an hour?
--
-- The worst value of the quarter, on the side that scores: a mean hides what a score is for. Temperature scores on both sides.
-- A column is NULL where nothing 'good' was measured: a score of missing inputs is not a low score.
-- MAX(CASE ...) is the pivot that every engine has. Consciousness is a word and comes from the EHR: its device is the EHR system.
SELECT site, device_id, date_trunc('hour', event_ts) AS in_hour,
  CAST(floor(EXTRACT(MINUTE FROM event_ts) / 15) AS INT) * 15 AS from_minute,
  max(patient_id) AS patient,
  max(CASE WHEN metric = 'resp_rate' THEN value END) AS resp_rate_highest,
  min(CASE WHEN metric = 'spo2' THEN value END) AS spo2_lowest,
  min(CASE WHEN metric = 'nibp_sys' THEN value END) AS systolic_lowest,
  max(CASE WHEN metric = 'heart_rate' THEN value END) AS heart_rate_highest,
  min(CASE WHEN metric = 'temp_body' THEN value END) AS temperature_lowest,
  max(CASE WHEN metric = 'temp_body' THEN value END) AS temperature_highest,
  max(CASE WHEN metric = 'consciousness' THEN value_text END) AS consciousness_word
FROM readings
WHERE event_date = DATE '2026-01-01'
  AND quality = 'good'
  AND metric IN ('resp_rate', 'spo2', 'nibp_sys', 'heart_rate', 'temp_body', 'consciousness')
GROUP BY site, device_id, date_trunc('hour', event_ts), CAST(floor(EXTRACT(MINUTE FROM event_ts) / 15) AS INT)
ORDER BY site, device_id, in_hour, from_minute
