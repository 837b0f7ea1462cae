-- case: ranks
SELECT id, row_number() OVER (PARTITION BY g ORDER BY id) AS a, rank() OVER (PARTITION BY g ORDER BY i) AS b, dense_rank() OVER (PARTITION BY g ORDER BY i DESC) AS c, ntile(3) OVER (ORDER BY id) AS d, percent_rank() OVER (PARTITION BY g ORDER BY i) AS e, cume_dist() OVER (PARTITION BY g ORDER BY i) AS f FROM small ORDER BY id

-- case: ranks of floats
SELECT id, rank() OVER (ORDER BY g) AS a, dense_rank() OVER (ORDER BY g DESC) AS b FROM floats ORDER BY id

-- case: lag and lead
SELECT id, lag(i) OVER (ORDER BY id) AS a, lead(i) OVER (ORDER BY id) AS b, lag(i, 2) OVER (ORDER BY id) AS c, lag(i, 1, 0) OVER (PARTITION BY g ORDER BY id) AS d, lead(g, 1, 'end') OVER (ORDER BY id) AS e, lag(d, 1, 0) OVER (ORDER BY id) AS f FROM small ORDER BY id

-- case: first and last value
SELECT id, first_value(i) OVER (PARTITION BY g ORDER BY id) AS a, last_value(i) OVER (PARTITION BY g ORDER BY id) AS b, last_value(i) OVER (PARTITION BY g ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS c, nth_value(i, 2) OVER (PARTITION BY g ORDER BY id) AS d FROM small ORDER BY id

-- case: ignore nulls
SELECT id, last_value(i) IGNORE NULLS OVER (PARTITION BY g ORDER BY id) AS a, first_value(i) IGNORE NULLS OVER (PARTITION BY g ORDER BY id) AS b, last_value(i, true) OVER (ORDER BY id) AS c, lag(i) IGNORE NULLS OVER (ORDER BY id) AS d FROM small ORDER BY id

-- case: running sums
SELECT id, sum(i) OVER (PARTITION BY g ORDER BY id) AS a, count(*) OVER (PARTITION BY g ORDER BY id) AS b, avg(d) OVER (PARTITION BY g ORDER BY id) AS c, min(i) OVER (PARTITION BY g ORDER BY id) AS e, max(l) OVER (PARTITION BY g ORDER BY id) AS f FROM small ORDER BY id

-- case: whole partitions
SELECT id, sum(i) OVER (PARTITION BY g) AS a, count(i) OVER () AS b, avg(p) OVER (PARTITION BY h) AS c, max(d) OVER (PARTITION BY g) AS d FROM small ORDER BY id

-- case: rows frames
SELECT id, sum(i) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS a, avg(d) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS b, count(*) OVER (ORDER BY id ROWS 3 PRECEDING) AS c, min(l) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS d, max(i) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS e, sum(d) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS f, sum(p) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS h FROM small ORDER BY id

-- case: range frames
SELECT id, sum(l) OVER (ORDER BY id RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS a, count(*) OVER (PARTITION BY g ORDER BY i RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS b, sum(i) OVER (ORDER BY h) AS c FROM small ORDER BY id

-- case: range frames in time
SELECT id, sum(i) OVER (ORDER BY t RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW) AS a, count(*) OVER (PARTITION BY g ORDER BY t RANGE BETWEEN INTERVAL 36 HOURS PRECEDING AND CURRENT ROW) AS b FROM small ORDER BY id

-- case: rank of an aggregate
SELECT g, sum(i) AS a, rank() OVER (ORDER BY sum(i) DESC) AS b FROM small GROUP BY g ORDER BY g

-- case: newest row
SELECT g, id, i FROM (SELECT g, id, i, row_number() OVER (PARTITION BY g ORDER BY t DESC, id DESC) AS n FROM small) x WHERE n = 1 ORDER BY g

-- case: rank without order
SELECT row_number() OVER (PARTITION BY g) AS v FROM small

-- case: window is null order
SELECT id, row_number() OVER (ORDER BY i, id) AS a, row_number() OVER (ORDER BY i DESC, id) AS b, row_number() OVER (ORDER BY i NULLS LAST, id) AS c FROM small ORDER BY id

-- case: min and max of specials in moving frames
SELECT id, max(g) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a, min(v) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS b, max(v) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS c, min(CAST(g AS float)) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING) AS d, max(v) OVER (PARTITION BY id % 2 ORDER BY id) AS e FROM floats ORDER BY id

-- case: specials in moving frames
SELECT id, sum(d) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a, avg(d) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS b, count(d) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS c, sum(f) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS e FROM nums ORDER BY id

-- case: texts and booleans in moving frames
SELECT id, max(g) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a, min(g) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS b, min(dt) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS c, max(p) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS d, min(i) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS e, sum(p) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS f FROM small ORDER BY id

-- case: deviation in moving frames
-- local: refused
SELECT id, stddev_pop(d) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS a, var_samp(i) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS b FROM small ORDER BY id
