-- What is wrong with the data of which device?
--
-- flags are names joined by commas, sorted: equal sets are equal texts, so they can be grouped by as they are.
-- docs/tables.md says what each flag means, docs/quality.md how quality follows from them.
-- Both dates: a reading whose time can't be right is filed under the day on which it was received.
SELECT site, device_id, metric, quality, coalesce(flags, 'none') AS flagged, count(*) AS readings
FROM readings
WHERE event_date >= DATE '2026-01-01'
  AND NOT (quality = 'good' AND flags IS NULL)
GROUP BY site, device_id, metric, quality, coalesce(flags, 'none')
ORDER BY site, device_id, metric, quality, flagged
