-- The last hour, every ten minutes; what is known at its end has its end as event time.
SELECT
  origin,
  window_end AS event_ts,
  COUNT(*) AS departures,
  AVG(dep_delay) AS mean_delay,
  COUNT(*) FILTER (WHERE dep_delay >= 15) AS delayed,
  CAST(COUNT(*) FILTER (WHERE dep_delay >= 15) AS DECIMAL(18, 0)) / COUNT(*) AS delayed_share,
  MAX(`at`) AS last_seen
FROM TABLE(HOP(TABLE departures, DESCRIPTOR(`at`), INTERVAL '10' MINUTES, INTERVAL '1' HOUR))
GROUP BY origin, window_start, window_end;
