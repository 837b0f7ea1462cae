-- One row a pair of airports, over one day of the data set.
SELECT
  f.origin,
  f.dest,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS flights,
  count(f.arr_delay) AS arrived,
  count(DISTINCT f.carrier) AS carriers,
  coalesce(sum(f.arr_delay), 0) AS arr_delay_minutes,
  avg(f.arr_delay) AS avg_arr_delay,
  min(f.air_time) AS min_air_time,
  avg(CASE
        WHEN f.arr_delay > 15 THEN CAST(1 AS DOUBLE)
        WHEN f.arr_delay <= 15 THEN CAST(0 AS DOUBLE)
      END) AS late_share,
  max(f.distance) AS distance,
  max(a.name) AS dest_name
FROM flights f
LEFT JOIN airports a ON f.dest = a.faa
WHERE make_date(f.year, f.month, f.day) = DATE '{{ ds }}'
GROUP BY f.origin, f.dest
