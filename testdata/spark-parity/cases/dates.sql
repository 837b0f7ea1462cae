-- case: fields of dates
SELECT id, year(dt) AS v0,
  quarter(dt) AS v1,
  month(dt) AS v2,
  day(dt) AS v3,
  dayofmonth(dt) AS v4,
  dayofweek(dt) AS v5,
  weekday(dt) AS v6,
  dayofyear(dt) AS v7,
  weekofyear(dt) AS v8
FROM times ORDER BY id

-- case: fields of timestamps
SELECT id, year(ts) AS v0,
  month(ts) AS v1,
  day(ts) AS v2,
  hour(ts) AS v3,
  minute(ts) AS v4,
  second(ts) AS v5,
  dayofweek(ts) AS v6,
  weekofyear(ts) AS v7
FROM times ORDER BY id

-- case: extract
SELECT id, extract(YEAR FROM dt) AS v0,
  extract(MONTH FROM ts) AS v1,
  extract(DAY FROM ts) AS v2,
  extract(HOUR FROM ts) AS v3,
  extract(MINUTE FROM ts) AS v4,
  extract(QUARTER FROM dt) AS v5,
  extract(WEEK FROM dt) AS v6,
  extract(DOY FROM dt) AS v7,
  extract(DAYOFWEEK FROM dt) AS v8
FROM times ORDER BY id

-- case: date arithmetic
SELECT id, date_add(dt, 3) AS v0,
  date_sub(dt, 3) AS v1,
  date_add(dt, n) AS v2,
  date_add(ts, 1) AS v3,
  datediff(dt, DATE '2013-01-01') AS v4,
  date_diff(dt, ts) AS v5,
  dt + 5 AS v6,
  dt - 5 AS v7,
  dateadd(dt, 2) AS v8,
  datediff(ts, dt) AS v9
FROM times ORDER BY id

-- case: months
SELECT id, add_months(dt, 1) AS v0,
  add_months(dt, n) AS v1,
  add_months(dt, -12) AS v2,
  last_day(dt) AS v3,
  last_day(ts) AS v4,
  months_between(ts, TIMESTAMP '2013-01-01 00:00:00') AS v5,
  months_between(dt, DATE '2012-11-30') AS v6,
  months_between(ts, dt) AS v7
FROM times ORDER BY id

-- case: trunc
SELECT id, trunc(dt, 'MM') AS v0,
  trunc(dt, 'YEAR') AS v1,
  trunc(dt, 'week') AS v2,
  trunc(dt, 'QUARTER') AS v3,
  trunc(ts, 'MONTH') AS v4
FROM times ORDER BY id

-- case: date_trunc
SELECT id, date_trunc('YEAR', ts) AS v0,
  date_trunc('month', ts) AS v1,
  date_trunc('WEEK', ts) AS v2,
  date_trunc('DAY', ts) AS v3,
  date_trunc('HOUR', ts) AS v4,
  date_trunc('MINUTE', ts) AS v5,
  date_trunc('SECOND', ts) AS v6,
  date_trunc('QUARTER', ts) AS v7,
  date_trunc('DAY', dt) AS v8,
  date_trunc('MILLISECOND', ts) AS v9
FROM times ORDER BY id

-- case: make_date
SELECT id, make_date(2013, n, 1) AS v0,
  make_date(year(dt), month(dt), 1) AS v1
FROM times WHERE n IS NULL OR n BETWEEN 1 AND 12 ORDER BY id

-- case: make_date of nonsense
SELECT make_date(2013, 2, 30) AS v

-- case: epochs
SELECT id, unix_timestamp(ts) AS v0,
  to_unix_timestamp(ts) AS v1,
  unix_timestamp(dt) AS v2,
  unix_seconds(ts) AS v3,
  unix_millis(ts) AS v4,
  unix_micros(ts) AS v5,
  unix_date(dt) AS v6,
  date_from_unix_date(n) AS v7,
  timestamp_seconds(l) AS v8,
  timestamp_millis(l) AS v9,
  timestamp_micros(l) AS v10
FROM times ORDER BY id

-- case: from_unixtime
SELECT id, from_unixtime(l) AS v0,
  from_unixtime(l, 'yyyy-MM-dd') AS v1,
  from_unixtime(n, 'HH:mm:ss') AS v2
FROM times ORDER BY id

-- case: date_format
SELECT id, date_format(ts, 'yyyy-MM-dd') AS v0,
  date_format(ts, 'yyyy/MM/dd HH:mm:ss') AS v1,
  date_format(ts, 'EEE') AS v2,
  date_format(ts, 'EEEE') AS v3,
  date_format(ts, 'MMM d') AS v4,
  date_format(ts, 'MMMM') AS v5,
  date_format(ts, 'yyyy') AS v6,
  date_format(ts, 'HH:mm:ss.SSS') AS v7,
  date_format(dt, 'yyyyMMdd') AS v8,
  date_format(ts, 'H') AS v9,
  date_format(ts, 'M') AS v10,
  date_format(ts, 'ss.SSSSSS') AS v11
FROM times ORDER BY id

-- case: quotes in date_format
-- local: refused
SELECT id, date_format(ts, "yyyy-MM-dd'T'HH:mm:ss") AS v0
FROM times ORDER BY id

-- case: to_date
SELECT id, to_date(d) AS v0,
  to_date(c, 'yyyyMMdd') AS v1,
  to_timestamp(ts) AS v2,
  to_timestamp(c, 'yyyyMMdd') AS v3,
  unix_timestamp(c, 'yyyyMMdd') AS v4
FROM texts ORDER BY id

-- case: to_date of dates
SELECT id, to_date(dt) AS v0,
  to_date(ts) AS v1,
  to_timestamp(dt) AS v2,
  to_timestamp(ts) AS v3
FROM times ORDER BY id

-- case: to_date with separators
SELECT to_date('31/12/2013', 'dd/MM/yyyy') AS a, to_timestamp('2013-12-31 23:59', 'yyyy-MM-dd HH:mm') AS b, unix_timestamp('2013-12-31 23:59:59') AS c

-- case: to_date that fails
SELECT to_date('2013-13-01', 'yyyy-MM-dd') AS v

-- case: to_timestamp that fails
SELECT to_timestamp('31.12.2013', 'yyyy-MM-dd') AS v

-- case: intervals
SELECT id, ts + INTERVAL 1 DAY AS v0,
  ts - INTERVAL 2 HOURS AS v1,
  ts + INTERVAL '30' MINUTE AS v2,
  dt + INTERVAL 1 MONTH AS v3,
  dt - INTERVAL 7 DAYS AS v4,
  ts + INTERVAL 1 YEAR AS v5,
  ts - INTERVAL 1 WEEK AS v6,
  ts + INTERVAL '15' SECOND AS v7,
  INTERVAL 1 DAY + ts AS v8,
  dt + INTERVAL 2 WEEKS AS v9,
  ts - INTERVAL 3 MONTHS AS v10
FROM times ORDER BY id

-- case: literals
SELECT DATE '2013-01-01' AS a, TIMESTAMP '2013-01-01 05:00:00' AS b, TIMESTAMP '2013-01-01T05:00:00Z' AS c, TIMESTAMP '2013-01-01 05:00:00+02:00' AS d, DATE '2013-1-1' AS e, TIMESTAMP '2013-01-01' AS f

-- case: day of a data set
SELECT make_date(2013, i % 12 + 1, 1) AS v, date_add(DATE '2013-01-01', i) AS w FROM small WHERE i IS NOT NULL ORDER BY id

-- case: date plus hours
-- local: refused
SELECT id, dt + INTERVAL 3 HOURS AS v FROM times ORDER BY id

-- case: date minus date
-- local: refused
SELECT id, dt - DATE '2013-01-01' AS v FROM times ORDER BY id

-- case: epoch week pattern
-- local: refused
SELECT date_format(ts, 'Q') AS v FROM times
