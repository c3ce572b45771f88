-- How long was the oxygen saturation below 90 %, by device, and how long was it watched at all?
--
-- A reading holds until the next one, but for a minute at most: silence is not health, nor hypoxia.
-- Both columns are needed: no hypoxia in ten watched seconds says nothing.
-- After the last reading lead() is NULL, in ClickHouse 0: ELSE is for both.
-- Repeats are left out: they carry the same time and would cut the interval at nothing.
WITH steps AS (
  SELECT site, device_id, value, floor(EXTRACT(EPOCH FROM event_ts)) AS at_second,
    lead(floor(EXTRACT(EPOCH FROM event_ts))) OVER (
      PARTITION BY site, device_id
      ORDER BY event_ts, received_ts, source_id, epoch, source_offset, row_no) AS next_second
  FROM readings
  WHERE event_date = DATE '2026-01-01'
    AND metric = 'spo2'
    AND quality = 'good'
    AND coalesce(flags, '') NOT LIKE '%repeat%'),
held AS (
  SELECT site, device_id, value,
    CASE WHEN next_second > at_second + 60 THEN 60 WHEN next_second > at_second THEN next_second - at_second ELSE 0 END AS seconds
  FROM steps)
SELECT site, device_id, min(value) AS lowest,
  CAST(sum(CASE WHEN value < 90 THEN seconds ELSE 0 END) AS BIGINT) AS seconds_below_90,
  CAST(sum(seconds) AS BIGINT) AS seconds_watched
FROM held
GROUP BY site, device_id
ORDER BY site, device_id
