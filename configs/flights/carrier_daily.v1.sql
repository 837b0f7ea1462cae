-- One row a carrier and origin airport, over one day of the data set.
SELECT
  carrier,
  origin,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS flights,
  count(dep_delay) AS departed,
  count(*) - count(dep_delay) AS cancelled,
  count(CASE WHEN dep_delay <= 15 THEN 1 END) AS on_time,
  coalesce(sum(dep_delay), 0) AS dep_delay_minutes,
  avg(dep_delay) AS avg_dep_delay,
  avg(arr_delay) AS avg_arr_delay,
  max(dep_delay) AS max_dep_delay,
  count(DISTINCT dest) AS destinations,
  hll_sketch_agg(dest) AS destinations_sketch
FROM flights
WHERE make_date(year, month, day) = DATE '{{ ds }}'
GROUP BY carrier, origin
