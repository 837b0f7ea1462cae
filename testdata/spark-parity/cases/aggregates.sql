-- case: count
SELECT g, count(*) AS a, count(1) AS b, count(i) AS c, count(DISTINCT i) AS d, count_if(b) AS e, count(DISTINCT h) AS f FROM small GROUP BY g ORDER BY g

-- case: sum
SELECT g, sum(i) AS a, sum(l) AS b, sum(d) AS c, sum(p) AS d, sum(DISTINCT i) AS e, sum(h) AS f FROM small GROUP BY g ORDER BY g

-- case: avg
SELECT g, avg(i) AS a, avg(l) AS b, avg(d) AS c, avg(p) AS d, mean(i) AS e, avg(DISTINCT i) AS f FROM small GROUP BY g ORDER BY g

-- case: min and max
SELECT g, min(i) AS a, max(i) AS b, min(d) AS c, max(d) AS d, min(t) AS e, max(dt) AS f, min(p) AS h, max(b) AS i, min(g) AS j FROM small GROUP BY g ORDER BY g

-- case: min and max of specials
SELECT min(g) AS a, max(g) AS b, min(v) AS c, max(v) AS d FROM floats

-- case: min and max of specials by group
SELECT k, max(x) AS a, min(x) AS b, max(CAST(x AS float)) AS c, min(CAST(x AS float)) AS d FROM (SELECT id % 3 AS k, g AS x FROM floats UNION ALL SELECT 10 + id AS k, g AS x FROM floats UNION ALL SELECT 30 AS k, v AS x FROM floats WHERE id >= 7 UNION ALL SELECT 31 AS k, v AS x FROM floats WHERE id IN (6, 7)) GROUP BY k ORDER BY k

-- case: min and max of nan alone
SELECT min(g) AS a, max(g) AS b FROM floats WHERE id IN (3, 4)

-- case: sum of nothing
SELECT sum(i) AS a, avg(i) AS b, count(*) AS c, min(i) AS d, max(g) AS e, count(i) AS f, sum(p) AS h, bool_and(b) AS j, percentile(i, 0.5) AS k, stddev(i) AS l FROM small WHERE id > 100

-- case: sum of nulls
SELECT sum(i) AS a, avg(d) AS b, count(i) AS c, min(p) AS d, stddev(i) AS e, median(i) AS f, bool_or(b) AS h FROM small WHERE id = 8

-- case: sum overflows
SELECT sum(l) AS v FROM nums WHERE id IN (5, 7)

-- case: sum passes over the edge and back
SELECT sum(l) AS v FROM nums WHERE id IN (5, 6)

-- case: deviation
-- close
SELECT g, stddev(i) AS a, stddev_samp(d) AS b, stddev_pop(d) AS c, variance(i) AS d, var_samp(l) AS e, var_pop(d) AS f, std(i) AS h FROM small GROUP BY g ORDER BY g

-- case: specials by group
-- close
SELECT k, sum(x) AS a, avg(x) AS b, stddev_pop(x) AS c, var_samp(x) AS d, count(DISTINCT x) AS e, percentile(x, 0.5) AS f, avg(CAST(x AS float)) AS h FROM (SELECT id % 3 AS k, d AS x FROM nums WHERE id <> 5 UNION ALL SELECT 10 + id AS k, d AS x FROM nums WHERE id <> 5 UNION ALL SELECT 30 AS k, d AS x FROM nums WHERE id IN (8, 9) UNION ALL SELECT 31 AS k, -d AS x FROM nums WHERE id IN (1, 9)) GROUP BY k ORDER BY k

-- case: deviation of one by group
SELECT id, stddev(i) AS a, stddev_pop(i) AS b, var_samp(i) AS c, var_pop(i) AS d, covar_samp(i, l) AS e, covar_pop(i, l) AS f FROM small GROUP BY id ORDER BY id

-- case: max_by of specials by group
SELECT id % 3 AS k, max_by(id, d) AS a, min_by(id, d) AS b FROM nums WHERE id % 3 <> 0 GROUP BY id % 3 ORDER BY k

-- case: nothing in a group
SELECT id, sum(d) AS a, avg(d) AS b, min(p) AS c, max(g) AS d, count(dt) AS e, bool_and(b) AS f, percentile(i, 0.5) AS h, max(t) AS j, sum(p) AS k, avg(p) AS m FROM small WHERE id IN (3, 6, 8) GROUP BY id ORDER BY id

-- case: deviation of one
SELECT stddev(i) AS a, stddev_pop(i) AS b, var_samp(i) AS c, var_pop(i) AS d, covar_samp(i, l) AS e, covar_pop(i, l) AS f FROM small WHERE id = 1

-- case: correlation
-- close
SELECT covar_samp(i, d) AS a, covar_pop(i, d) AS b, covar_samp(p, l) AS c FROM small

-- case: correlation of a constant
-- local: refused
SELECT corr(i, h) AS a, covar_pop(i, h) AS b FROM small WHERE h = 1

-- case: percentile
SELECT g, percentile(i, 0.5) AS a, percentile(d, 0.25) AS b, percentile(l, 0.9) AS c, median(i) AS d, median(d) AS e, percentile(i, 0) AS f, percentile(i, 1) AS h, percentile(p, 0.5) AS j FROM small GROUP BY g ORDER BY g

-- case: booleans
SELECT g, bool_and(b) AS a, bool_or(b) AS b, every(b) AS c, some(b) AS d, any(b) AS e FROM small GROUP BY g ORDER BY g

-- case: max_by
SELECT g, max_by(id, d) AS a, min_by(id, d) AS b, max_by(i, id) AS c, min_by(g, dt) AS d FROM small GROUP BY g ORDER BY g

-- case: max_by of nothing
SELECT max_by(id, d) AS a FROM small WHERE d IS NULL

-- case: filter
SELECT g, sum(i) FILTER (WHERE i > 10) AS a, count(*) FILTER (WHERE b) AS b, avg(d) FILTER (WHERE h = 1) AS c FROM small GROUP BY g ORDER BY g

-- case: group by several
SELECT g, h, count(*) AS a, sum(i) AS b FROM small GROUP BY g, h ORDER BY g, h

-- case: group by ordinal
SELECT g, count(*) AS a FROM small GROUP BY 1 ORDER BY 1

-- case: group by alias
SELECT coalesce(g, '?') AS k, count(*) AS a FROM small GROUP BY k ORDER BY k

-- case: group by expression
SELECT month(t) AS m, year(dt) AS y, count(*) AS a FROM small GROUP BY month(t), year(dt) ORDER BY m, y

-- case: group by floats
SELECT g, count(*) AS a, sum(v) AS b FROM floats GROUP BY g ORDER BY g

-- case: distinct floats
SELECT DISTINCT g FROM floats ORDER BY g

-- case: count distinct floats
SELECT count(DISTINCT g) AS a FROM floats

-- case: having
SELECT g, sum(i) AS a FROM small GROUP BY g HAVING sum(i) > 30 ORDER BY g

-- case: having alias
SELECT g, sum(i) AS a FROM small GROUP BY g HAVING a > 30 ORDER BY g

-- case: distinct
SELECT DISTINCT g, h FROM small ORDER BY g, h

-- case: arithmetic on aggregates
SELECT g, sum(i) / count(*) AS a, round(avg(d), 2) AS b, sum(if(b, 1, 0)) / count(*) AS c, coalesce(sum(i), 0) AS d, max(i) - min(i) AS e, sum(i * 2) AS f FROM small GROUP BY g ORDER BY g

-- case: conditional sums
SELECT sum(CASE WHEN b THEN i ELSE 0 END) AS a, sum(CASE WHEN b THEN 1 END) AS b, avg(CASE WHEN h = 1 THEN d END) AS c, count(CASE WHEN i > 10 THEN 1 END) AS d FROM small

-- case: first is by chance
-- local: refused
SELECT first(i) AS v FROM small

-- case: percentile_approx
-- local: refused
SELECT percentile_approx(i, 0.5) AS v FROM small
