-- case: types of nested conditionals
SELECT id, abs(CASE WHEN b THEN 1 ELSE 2.5 END) / 2 AS v0,
  (CASE WHEN b THEN i ELSE l END) * 2 AS v1,
  coalesce(i, 1.5) + 1 AS v2,
  if(b, 1, 2L) + 1 AS v3,
  coalesce(NULL, p, i) AS v4,
  greatest(CASE WHEN b THEN 1 ELSE 0.5 END, 2) AS v5,
  -(CASE WHEN b THEN i ELSE d END) AS v6
FROM small ORDER BY id

-- case: shares
SELECT g, coalesce(sum(i), 0) / 2.0 AS a, sum(CASE WHEN b THEN 1 ELSE 0 END) / count(*) AS b, round(100.0 * sum(i) / count(*), 2) AS c, avg(CASE WHEN b THEN 1.0 ELSE 0.0 END) AS d, sum(if(i > 10, 1, 0)) * 1.0 / count(*) AS e, sum(p) / count(p) AS f, round(avg(p), 1) AS h, 1 - count(i) / count(*) AS j FROM small GROUP BY g ORDER BY g

-- case: having without group
SELECT sum(i) AS a FROM small HAVING count(*) > 3

-- case: having refuses all
SELECT sum(i) AS a FROM small HAVING count(*) > 300

-- case: order by what is not selected
SELECT g FROM small ORDER BY id DESC

-- case: order by an aggregate
SELECT g FROM small GROUP BY g ORDER BY count(*) DESC, g

-- case: count of nothing
SELECT count(*) AS a, sum(i) AS b FROM small WHERE 1 = 0

-- case: precedence of words
SELECT id, NOT i IS NULL AS v0,
  i BETWEEN 1 AND 15 AND b AS v1,
  NOT i IN (10, 5) AS v2,
  NOT b OR b AS v3,
  -i * 2 AS v4,
  i % 2 = 0 AS v5,
  b = true AS v6,
  b <> false AS v7,
  i + 1 > 10 OR g = 'a' AND b AS v8,
  NOT b = false AS v9
FROM small ORDER BY id

-- case: order of text
SELECT s FROM strings ORDER BY s

-- case: compare text
SELECT 'a' < 'B' AS a, 'ä' > 'z' AS b, '' < 'a' AS c, 'a' = 'a ' AS d, 'abc' < 'abd' AS e

-- case: in with types
SELECT id, true AS v0,
  i IN (10, 5.0) AS v1,
  l IN (100, 200) AS v2,
  d IN (1, 4.5) AS v3,
  dt IN (DATE '2013-01-01', DATE '2013-01-08') AS v4,
  p IN (1.10, 7.77, 8) AS v5,
  b IN (true) AS v6
FROM small ORDER BY id

-- case: union of decimals
SELECT p AS v FROM small WHERE id < 3 UNION ALL SELECT i FROM small WHERE id < 3 UNION ALL SELECT 1.2345 ORDER BY v

-- case: union of dates
SELECT dt AS v FROM small WHERE id < 3 UNION ALL SELECT t FROM small WHERE id < 3 ORDER BY v

-- case: coalesce of dates
SELECT id, coalesce(dt, t) AS v0,
  coalesce(t, dt) AS v1,
  coalesce(dt, DATE '2000-01-01') AS v2,
  if(b, dt, t) AS v3
FROM small ORDER BY id

-- case: aggregates of floats
SELECT sum(f) AS a, avg(f) AS b, min(f) AS c, max(f) AS d, stddev(f) AS e, percentile(f, 0.5) AS h FROM nums WHERE id IN (1, 2, 3, 4, 7)

-- case: aggregates of decimals
-- close
SELECT stddev(p) AS a, var_pop(p) AS b, median(p) AS c, sum(DISTINCT p) AS d, avg(DISTINCT p) AS e, count(DISTINCT p) AS f, max_by(p, id) AS h FROM small

-- case: averages of decimals
SELECT avg(p) AS a, avg(q) AS b, sum(q) AS c, sum(p * q) AS d, avg(p / 3) AS e, sum(p) / 7 AS f FROM nums WHERE id NOT IN (5)

-- case: alias with columns
SELECT x.a, x.b FROM (SELECT id, g FROM small) x(a, b) WHERE x.a < 4 ORDER BY x.a

-- case: join with more conditions
SELECT s.id, o.k FROM small s LEFT JOIN others o ON s.g = o.g AND (o.k > 2 OR s.i > 10) ORDER BY s.id, o.k

-- case: missing partners
SELECT s.id FROM small s LEFT JOIN others o ON s.g = o.g WHERE o.k IS NULL ORDER BY s.id

-- case: join three
SELECT s.id, o.name, p.id AS pid FROM small s JOIN others o ON s.g = o.g JOIN small p ON p.h = o.k AND p.id < s.id ORDER BY 1, 2, 3

-- case: join a query
SELECT s.id, x.total FROM small s JOIN (SELECT g, sum(i) AS total FROM small GROUP BY g) x ON s.g = x.g ORDER BY s.id

-- case: dates around
SELECT id, date_add(DATE '2013-01-01', id) AS v0,
  date_trunc('DAY', ts) + INTERVAL 1 DAY AS v1,
  CAST(dt AS timestamp) + INTERVAL 1 DAY AS v2,
  datediff(CAST(ts AS date), dt) AS v3,
  (unix_timestamp(ts) - l) / 3600 AS v4,
  ts >= DATE '2013-01-01' AND ts < DATE '2013-02-01' AS v5,
  year(dt) * 100 + month(dt) AS v6
FROM times ORDER BY id

-- case: a day of flights
SELECT g, count(*) AS flights, avg(d) AS mean, max(t) + INTERVAL 1 DAY AS event_ts, CAST('2013-01-02 00:00:00' AS timestamp) AS period_end, TIMESTAMP '2013-01-02' AS literal FROM small WHERE year(dt) = 2013 AND month(dt) = 1 AND day(dt) <= 9 GROUP BY g ORDER BY g

-- case: rounding scales
SELECT id, round(p, 3) AS v0,
  round(p, 2) AS v1,
  round(q, 0) AS v2,
  round(i, 2) AS v3,
  round(l, -2) AS v4,
  bround(p, 1) AS v5,
  bround(d, 0) AS v6
FROM nums WHERE id NOT IN (5, 6, 1) ORDER BY id

-- case: decimal casts round
SELECT CAST(2.5 AS decimal(3,0)) AS a, CAST(-2.5 AS decimal(3,0)) AS b, CAST('1.005' AS decimal(5,2)) AS c, CAST(2.5e0 AS int) AS d, CAST(-2.9 AS int) AS e, CAST(1.005e0 AS decimal(5,2)) AS f, CAST(1e-7 AS decimal(10,8)) AS g

-- case: text CAST(' 2013-01-01 ' AS date)
SELECT CAST(' 2013-01-01 ' AS date) AS v

-- case: text CAST(' 7 ' AS int)
SELECT CAST(' 7 ' AS int) AS v

-- case: text CAST(' 1.5 ' AS double)
SELECT CAST(' 1.5 ' AS double) AS v

-- case: text CAST(' true ' AS boolean)
SELECT CAST(' true ' AS boolean) AS v

-- case: text CAST('\t8\n' AS int)
SELECT CAST('\t8\n' AS int) AS v

-- case: text CAST('2013-01-01T00' AS date)
SELECT CAST('2013-01-01T00' AS date) AS v

-- case: text CAST('2013-01-01 1:2:3' AS timestamp)
SELECT CAST('2013-01-01 1:2:3' AS timestamp) AS v

-- case: text CAST('2013-01-01T01:02Z' AS timestamp)
SELECT CAST('2013-01-01T01:02Z' AS timestamp) AS v

-- case: text CAST('2013-01-01T01' AS timestamp)
SELECT CAST('2013-01-01T01' AS timestamp) AS v

-- case: text CAST('2013-01-01 01:02:03 UTC' AS timestamp)
SELECT CAST('2013-01-01 01:02:03 UTC' AS timestamp) AS v

-- case: text CAST('2013-01-01 01:02:03+5' AS timestamp)
SELECT CAST('2013-01-01 01:02:03+5' AS timestamp) AS v

-- case: text CAST('2013-01-01 01:02:03.123456789' AS timestamp)
SELECT CAST('2013-01-01 01:02:03.123456789' AS timestamp) AS v

-- case: text CAST('1e2' AS int)
SELECT CAST('1e2' AS int) AS v

-- case: text CAST('1e2' AS decimal(5,0))
SELECT CAST('1e2' AS decimal(5,0)) AS v

-- case: text CAST('.5' AS decimal(3,1))
SELECT CAST('.5' AS decimal(3,1)) AS v

-- case: text CAST('5.' AS decimal(3,1))
SELECT CAST('5.' AS decimal(3,1)) AS v

-- case: text CAST('5.' AS double)
SELECT CAST('5.' AS double) AS v

-- case: text CAST('+1.5' AS double)
SELECT CAST('+1.5' AS double) AS v

-- case: text CAST('12345678901234567890' AS decimal(20,0))
SELECT CAST('12345678901234567890' AS decimal(20,0)) AS v

-- case: text CAST('2013-001-01' AS date)
SELECT CAST('2013-001-01' AS date) AS v

-- case: text CAST('02013-01-01' AS date)
SELECT CAST('02013-01-01' AS date) AS v

-- case: text CAST('2013-1-1x' AS date)
SELECT CAST('2013-1-1x' AS date) AS v

-- case: text CAST('2013-01-01 ' AS timestamp)
SELECT CAST('2013-01-01 ' AS timestamp) AS v

-- case: text CAST('1' AS timestamp)
SELECT CAST('1' AS timestamp) AS v

-- case: text CAST('2013' AS timestamp)
SELECT CAST('2013' AS timestamp) AS v

-- case: text CAST('on' AS boolean)
SELECT CAST('on' AS boolean) AS v

-- case: text CAST('2013-01-01 24:00:00' AS timestamp)
SELECT CAST('2013-01-01 24:00:00' AS timestamp) AS v

-- case: text CAST('2013-01-01 10:60:00' AS timestamp)
SELECT CAST('2013-01-01 10:60:00' AS timestamp) AS v

-- case: text CAST('1 2' AS int)
SELECT CAST('1 2' AS int) AS v

-- case: text CAST('-0' AS int)
SELECT CAST('-0' AS int) AS v

-- case: text CAST('-0.0' AS double)
SELECT CAST('-0.0' AS double) AS v

-- case: text CAST('1e400' AS double)
SELECT CAST('1e400' AS double) AS v

-- case: text CAST('infinity' AS double)
SELECT CAST('infinity' AS double) AS v

-- case: text CAST('+inf' AS double)
SELECT CAST('+inf' AS double) AS v

-- case: text CAST('nan' AS float)
SELECT CAST('nan' AS float) AS v

-- case: text CAST('1_000' AS int)
SELECT CAST('1_000' AS int) AS v

-- case: text CAST('٣' AS int)
SELECT CAST('٣' AS int) AS v

-- case: text try_cast('x' AS date)
SELECT try_cast('x' AS date) AS v

-- case: text try_cast('9223372036854775808' AS bigint)
SELECT try_cast('9223372036854775808' AS bigint) AS v

-- case: decimals as text
SELECT CAST(0.00000001 AS string) AS a, CAST(-0.10 AS string) AS b, CAST(CAST(100 AS decimal(10,3)) AS string) AS c, CAST(0.0 AS string) AS d

-- case: wide decimals
SELECT CAST('12345678901234567890123456789012345678' AS decimal(38,0)) AS a, CAST('1.23456789012345678901234567890123456' AS decimal(38,35)) * 2 AS b, CAST(1 AS decimal(38,10)) / 3 AS c, CAST(99999 AS decimal(30,5)) * CAST(3 AS decimal(20,10)) AS d, CAST(1 AS decimal(38,18)) + CAST(2 AS decimal(38,2)) AS e

-- case: decimal overflows
SELECT CAST('99999999999999999999999999999999999999' AS decimal(38,0)) + 1 AS v

-- case: decimal product overflows
SELECT CAST('99999999999999999999' AS decimal(38,0)) * CAST('99999999999999999999' AS decimal(38,0)) AS v

-- case: nulls of no type
SELECT NULL + 1 AS a, NULL = 1 AS b, coalesce(NULL, 2) AS c, NULL AND false AS d, NULL OR true AS e, sum(NULL + 1) AS f FROM small

-- case: several groups of distinct
SELECT g, count(DISTINCT i) AS a, count(DISTINCT h) AS b, sum(DISTINCT h) AS c, count(i) AS d, min(DISTINCT i) AS e, avg(DISTINCT d) AS f FROM small GROUP BY g ORDER BY g

-- case: expressions of groups
SELECT upper(g) AS k, count(*) AS n FROM small GROUP BY upper(g) HAVING count(*) > 1 ORDER BY k

-- case: group by an alias that is a column
SELECT h + 1 AS h, count(*) AS n FROM small GROUP BY h ORDER BY n, h

-- case: order by an alias that is a column
SELECT -id AS id, g FROM small ORDER BY id

-- case: window sums of decimals and ints
SELECT id, sum(p) OVER (PARTITION BY g ORDER BY id) AS a, avg(i) OVER (ORDER BY id ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS b, count(DISTINCT_h) OVER (ORDER BY id) AS c FROM (SELECT id, g, i, p, h AS DISTINCT_h FROM small) x ORDER BY id

-- case: window over a float partition
SELECT id, count(*) OVER (PARTITION BY g) AS a, sum(v) OVER (PARTITION BY g ORDER BY id) AS b FROM floats ORDER BY id

-- case: moving sums forget
SELECT id, sum(d) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a, avg(d) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS b FROM nums ORDER BY id

-- case: if over a window
SELECT id, if(row_number() OVER (PARTITION BY g ORDER BY id) = 1, 'first', 'later') AS a, id - lag(id) OVER (PARTITION BY g ORDER BY id) AS b, coalesce(lag(i) OVER (PARTITION BY g ORDER BY id), 0) AS c FROM small ORDER BY id

-- case: count distinct of two
-- local: refused
SELECT count(DISTINCT g, h) AS v FROM small

-- case: mixed concatenation
-- local: refused
SELECT 'a' || 1 AS v

-- case: upper of a number
-- local: refused
SELECT upper(i) AS v FROM small

-- case: text as a date argument
-- local: refused
SELECT date_add('2013-01-01', 1) AS v

-- case: case of text and numbers
-- local: refused
SELECT CASE WHEN b THEN 'a' ELSE 1 END AS v FROM small WHERE b

-- case: stddev of text
-- local: refused
SELECT stddev(g) AS v FROM small WHERE g IS NULL

-- case: lag with another default
-- local: refused
SELECT lag(i, 1, 2.5) OVER (ORDER BY id) AS v FROM small

-- case: named window
-- local: refused
SELECT sum(i) OVER w AS v FROM small WINDOW w AS (ORDER BY id)

-- case: natural join
-- local: refused
SELECT s.id FROM small s NATURAL JOIN others o

-- case: now
-- local: refused
SELECT now() AS v

-- case: rand
-- local: refused
SELECT rand() AS v

-- case: lambda
-- local: refused
SELECT transform(a, x -> x + 1) AS v FROM lists

-- case: struct
-- local: refused
SELECT named_struct('a', 1) AS v

-- case: map
-- local: refused
SELECT map('a', 1) AS v

-- case: bit and
-- local: refused
SELECT 6 & 3 AS v

-- case: values
-- local: refused
SELECT * FROM VALUES (1), (2) AS t(a)

-- case: table sample
-- local: refused
SELECT * FROM small TABLESAMPLE (10 PERCENT)

-- case: in subquery among columns
-- local: refused
SELECT id, i IN (SELECT w FROM others) AS v FROM small ORDER BY id

-- case: in subquery of another type
SELECT id FROM small WHERE i IN (SELECT w FROM others) OR id = 1 ORDER BY id

-- case: signed years
SELECT CAST('+2013-01-01' AS date) AS a, CAST('002013-01-01' AS date) AS b, CAST('+2013-01-01 10:00:00' AS timestamp) AS c
