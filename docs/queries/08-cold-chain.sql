-- When was a fridge outside 2 to 8 °C, for how long, and how far?
--
-- A breach is a run of readings outside with none inside between them (gaps and islands): the difference of two row numbers is
-- the same within a run.
-- It lasts from its first reading to the first one inside again, or to its last if there is none yet.
-- After the last reading lead() is NULL, in ClickHouse 1970: greatest() is for both.
-- Judge by 'good' readings only: a broken probe (sentinel, out of range) is another question, 05-data-quality.sql.
WITH probes AS (
  SELECT site, device_id, event_ts, value, CASE WHEN value < 2 OR value > 8 THEN 1 ELSE 0 END AS outside,
    source_id, epoch, source_offset, row_no
  FROM readings
  WHERE event_date = DATE '2026-01-01'
    AND metric = 'fridge_temp'
    AND quality = 'good'
    AND coalesce(flags, '') NOT LIKE '%repeat%'),
numbered AS (
  SELECT site, device_id, event_ts, value, outside,
    row_number() OVER (PARTITION BY site, device_id ORDER BY event_ts, source_id, epoch, source_offset, row_no)
      - row_number() OVER (PARTITION BY site, device_id, outside ORDER BY event_ts, source_id, epoch, source_offset, row_no) AS run,
    lead(event_ts) OVER (PARTITION BY site, device_id ORDER BY event_ts, source_id, epoch, source_offset, row_no) AS next_ts
  FROM probes)
SELECT site, device_id, min(event_ts) AS began, max(greatest(event_ts, next_ts)) AS ended,
  CAST(floor(EXTRACT(EPOCH FROM max(greatest(event_ts, next_ts)))) - floor(EXTRACT(EPOCH FROM min(event_ts))) AS BIGINT) AS seconds_outside,
  count(*) AS readings, min(value) AS coldest, max(value) AS warmest
FROM numbered
WHERE outside = 1
GROUP BY site, device_id, run
ORDER BY site, device_id, began
