-- What could not become rows, why, and is not dealt with yet?
--
-- replays says which dead letters were decoded again with success: they are left out by their identity.
-- received_ts, since nothing of the message was understood: there is no other time.
-- reason is for people and never contains a part of the payload; the payload itself is bytes in the column payload.
SELECT d.reason_code AS reason_code, d.stage AS stage, coalesce(d.topic, '') AS of_topic, min(d.reason) AS for_example,
  count(*) AS messages, min(d.received_ts) AS first_received, max(d.received_ts) AS last_received
FROM dead_letters AS d
LEFT JOIN replays AS r
  ON r.source_id = d.source_id AND r.epoch = d.epoch AND r.source_offset = d.source_offset
WHERE d.event_date >= DATE '2026-01-01'
  AND r.source_id IS NULL
GROUP BY d.reason_code, d.stage, coalesce(d.topic, '')
ORDER BY messages DESC, reason_code, stage, of_topic
