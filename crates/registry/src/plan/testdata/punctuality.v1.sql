-- By carrier and origin.
SELECT
  f.carrier,
  f.origin,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS flights,
  avg(f.dep_delay) AS avg_delay,
  max(f.dep_delay) AS max_delay
FROM (
  SELECT carrier, origin, dest, dep_delay
  FROM flights WHERE make_date(year, month, day) = DATE '{{ ds }}' AND dep_delay < 600
) AS f
LEFT JOIN airports AS a ON a.faa = f.dest
WHERE a.lat > 10 AND f.carrier <> 'XX'
GROUP BY f.carrier, f.origin
