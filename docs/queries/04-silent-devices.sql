-- Which devices have not been heard for five minutes, and since when?
--
-- "Now" is the newest time at the device's own site, so that the answer does not depend on when it is asked, and a source that
-- is behind does not make all of its devices silent.
-- Everything that a device says counts, also a 'bad' reading: what is asked is whether it lives.
-- Rows whose device's clock can't be right are left out on both sides: their event_ts is the time of receipt, of another day.
WITH heard AS (
  SELECT site, device_id, event_ts FROM readings
  WHERE event_date = DATE '2026-01-01'
  UNION ALL
  SELECT site, device_id, event_ts FROM device_status
  WHERE event_date = DATE '2026-01-01'),
newest AS (
  SELECT site, device_id, max(event_ts) AS last_heard FROM heard GROUP BY site, device_id),
present AS (
  SELECT site, max(last_heard) AS site_now FROM newest GROUP BY site)
SELECT n.site AS at_site, n.device_id AS device, n.last_heard AS silent_since,
  CAST(floor(EXTRACT(EPOCH FROM p.site_now)) - floor(EXTRACT(EPOCH FROM n.last_heard)) AS BIGINT) AS seconds_silent
FROM newest AS n
JOIN present AS p ON n.site = p.site
WHERE n.last_heard < p.site_now - INTERVAL '5' MINUTE
ORDER BY at_site, device
