-- How late is data: what came after newer data of its device, and how long from the gateway until it was readable?
--
-- received_ts is when gateway or agent accepted it, landed_at when its landing was decided: readable within moments of it.
-- A reading belongs to the landing whose offsets hold its own. A landing has a row per table; message_count is in the first
-- of a source only, so the rows of `readings` are taken, not all.
-- event_ts to received_ts is the way from the device, with its buffer: `seconds_on_the_way`. The simulated ward plays in the past,
-- so there it is months.
-- landings.event_date is the day of landing, not of what was landed: it is no filter here.
WITH came AS (
  SELECT site, device_id, event_ts, received_ts, source_id, epoch, source_offset,
    max(event_ts) OVER (
      PARTITION BY site, device_id
      ORDER BY source_id, epoch, source_offset, row_no
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS newest_so_far
  FROM readings
  WHERE event_date = DATE '2026-01-01'
    AND coalesce(flags, '') NOT LIKE '%repeat%')
SELECT c.site AS at_site, c.device_id AS device, count(*) AS readings,
  sum(CASE WHEN c.event_ts < c.newest_so_far THEN 1 ELSE 0 END) AS overtaken,
  CAST(max(floor(EXTRACT(EPOCH FROM c.received_ts)) - floor(EXTRACT(EPOCH FROM c.event_ts))) AS BIGINT) AS seconds_on_the_way,
  CAST(max(floor(EXTRACT(EPOCH FROM l.landed_at)) - floor(EXTRACT(EPOCH FROM c.received_ts))) AS BIGINT) AS seconds_to_readable
FROM came AS c
JOIN landings AS l ON l.source_id = c.source_id AND l.epoch = c.epoch
WHERE l.table_name = 'readings'
  AND c.source_offset >= l.from_offset
  AND c.source_offset < l.to_offset
GROUP BY c.site, c.device_id
ORDER BY at_site, device
