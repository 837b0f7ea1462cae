-- The observations of the hours of one day, as they are: one row an airport and hour.
-- `time_hour` is when the hour begins (UTC); what happened in it is known when it ends. Hours are
-- taken by that instant and not by the columns year, month and day, which are New York's: their
-- last five hours would be known only after the period's end.
SELECT
  origin,
  time_hour + INTERVAL 1 HOUR AS event_ts,
  temp AS temperature,
  dewp AS dew_point,
  humid AS humidity,
  wind_dir AS wind_direction,
  wind_speed,
  wind_gust,
  precip AS precipitation,
  pressure,
  visib AS visibility
FROM weather
WHERE time_hour >= TIMESTAMP '{{ period_start }}'
  AND time_hour < TIMESTAMP '{{ period_end }}'
