-- Do the books add up: is every message that a source accepted in the lake, in the dead letters, or a gap that says why?
--
-- The ledger has a row per landing, source and table. message_count and gap_count stand in the first row of a source only,
-- so they can be summed; offsets repeat in each row, so they are not.
-- unexplained is 0, or `tidemark check` has more to say. still_to_come is what the source had accepted when it last sent.
SELECT source_id, epoch,
  count(DISTINCT landing_id) AS landings,
  min(from_offset) AS first_offset,
  max(to_offset) AS next_offset,
  sum(message_count) AS messages,
  sum(gap_count) AS gaps,
  sum(CASE WHEN table_name = 'readings' THEN row_count ELSE 0 END) AS readings_rows,
  sum(dead_letter_count) AS dead_letters,
  max(to_offset) - min(from_offset) - sum(message_count) - sum(gap_count) AS unexplained,
  max(appended) - max(to_offset) AS still_to_come
FROM landings
GROUP BY source_id, epoch
ORDER BY source_id, epoch
