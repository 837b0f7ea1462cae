-- One row a plane that left on that day. Cancelled flights name no plane, or one that did not fly.
SELECT
  f.tailnum,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS flights,
  coalesce(sum(f.air_time), 0) AS air_minutes,
  sum(f.distance) AS miles,
  avg(f.arr_delay) AS avg_arr_delay,
  max(f.carrier) AS last_carrier,
  max(p.manufacturer) AS manufacturer,
  max(p.seats) AS seats,
  max(f.year - p.year) AS age_years
FROM flights f
LEFT JOIN planes p ON f.tailnum = p.tailnum
WHERE make_date(f.year, f.month, f.day) = DATE '{{ ds }}'
  AND f.tailnum IS NOT NULL
  AND f.dep_time IS NOT NULL
GROUP BY f.tailnum
